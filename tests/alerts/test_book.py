"""Nobody hears of the same thing twice in a period, and everybody hears that it is over."""

from datetime import timedelta

import pytest

from mailrelay.models import Alert, AlertChannel
from mailrelay.notify import episodes
from mailrelay.notify.conditions import Finding
from mailrelay.vocabulary import Condition

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)


def finding(key="backlog", condition=Condition.BACKLOG, level=1):
    return Finding(key, condition, f"About {key}", "Words.", level)


class Days:
    """Time that a test moves, and a channel that is told about all news at once."""

    def __init__(self, channel, now):
        self.channel, self.now = channel, now

    def look(self, *findings, after=MINUTE) -> list[str]:
        """Move on by `after` in which nothing else is looked at; return what is told."""
        self.now += after
        episodes.enter(findings, self.now)
        found = episodes.changes(self.channel, self.now)
        if found:
            episodes.note(self.channel, found, self.now)
        return [f"{one.what} {one.alert.key}" for one in found]

    def stay_away(self) -> list[str]:
        return self.look() + self.look(after=episodes.QUIET)


@pytest.fixture
def days(channel, now):
    return Days(channel(), now)


def test_what_is_the_matter_is_told_once_and_so_is_its_end(days):
    assert days.look(finding()) == ["new backlog"]
    assert days.look(finding()) == []
    assert days.look(finding(), after=20 * MINUTE) == []
    assert days.stay_away() == ["over backlog"]
    assert days.look() == []


def test_what_comes_and_goes_within_minutes_is_one_episode(days):
    assert days.look(finding()) == ["new backlog"]
    told = [days.look(*([finding()] if turn % 2 else [])) for turn in range(40)]
    assert told == [[]] * 40
    assert days.stay_away() == ["over backlog"]


def test_what_comes_back_is_told_when_its_period_has_passed(days):
    assert days.look(finding()) == ["new backlog"]
    assert days.stay_away() == ["over backlog"]
    assert days.look(finding(), after=10 * MINUTE) == []
    assert days.look(finding(), after=episodes.PERIOD) == ["new backlog"]


def test_what_came_back_unheard_ends_unheard(days):
    days.look(finding())
    days.stay_away()
    assert days.look(finding()) == []
    assert days.stay_away() == []


def test_a_secret_is_told_of_at_each_stage(days):
    secret = {"key": "expiry:secret", "condition": Condition.EXPIRY}
    assert days.look(finding(level=1, **secret)) == ["new expiry:secret"]
    assert days.look(finding(level=2, **secret)) == ["worse expiry:secret"]
    assert days.look(finding(level=2, **secret)) == []
    assert days.look(finding(level=3, **secret)) == ["worse expiry:secret"]


def test_what_stays_is_told_of_again_after_a_day(days):
    days.look(finding())
    assert days.look(finding(), after=episodes.REMINDER) == ["still backlog"]
    assert days.look(finding()) == []


def test_a_restart_is_no_news(days):
    gone = finding("no-worker", Condition.NO_WORKER)
    assert days.look(gone) == []
    assert days.look() == []
    assert days.stay_away() == []
    assert days.look(gone) == []
    assert days.look(gone, after=episodes.PATIENCE[Condition.NO_WORKER]) == ["new no-worker"]


def test_a_channel_hears_of_its_conditions_alone(days):
    AlertChannel.objects.update(conditions=Condition.HELD)
    days.channel.refresh_from_db()
    assert days.look(finding(), after=MINUTE) == []


def test_what_is_over_is_forgotten_after_a_while(days):
    days.look(finding())
    days.stay_away()
    days.look(after=episodes.KEPT_FOR + MINUTE)
    assert not Alert.objects.exists()
