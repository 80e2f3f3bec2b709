"""Errors that Graph names and that are no proof: reports say that such mail was sent all the same.

A service that failed (5xx) leaves a mail in doubt, a throttled one (429) does not: then the mail goes again
as often as it takes. In both cases the mailbox is asked without mail before mail goes through it again.
"""

from collections import Counter

import pytest

from mailrelay.models import Mailbox, SenderConfig
from mailrelay.outbox.db import clock, counters
from mailrelay.outbox.rules import limits
from mailrelay.vocabulary import Outcome, Reason, State, UncertainPolicy
from tests.delivery.office import count, fresh, log, timeline
from tests.harness.processes import mail, rows, send
from tests.large.conftest import writer  # noqa: F401 - a fixture

FAILED = [
    (500, "ErrorInternalServerError"),
    (500, "UnknownError"),
    (500, "SomethingNewIn2031"),
    (500, "ErrorItemNotFound"),
    (500, "ErrorMailboxStoreUnavailable"),
    (502, "BadGateway"),
    (503, "ErrorServerBusy"),
    (500, "CommandConcurrencyLimitReached"),
    (503, "ApplicationThrottled"),
    (509, "TooManyRequests"),
]
THROTTLED = [
    (429, "ApplicationThrottled"),
    (429, "CommandConcurrencyLimitReached"),
    (429, "TooManyRequests"),
]
CERTAIN = [
    (500, "ErrorSubmissionQuotaExceeded", State.QUEUED),
    (500, "ErrorMimeContentConversionFailed", State.DEFERRED),
    (507, "ErrorQuotaExceeded", State.HELD),
    (500, "ErrorVirusDetected", State.FAILED),
]


def policy(word: UncertainPolicy) -> None:
    SenderConfig.objects.update(uncertain_policy=word)


def wait_out(office, hours: float = 6.0) -> None:
    """Let time pass, in the steps in which pauses and retries come due."""
    for _ in range(int(hours * 12)):
        office.later(300)


def error(status: int, code: str, **more) -> dict:
    return {"status": status, "code": code, **more}


# --- The service failed ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "code"), FAILED)
@pytest.mark.parametrize("word", list(UncertainPolicy))
def test_eight_such_answers_make_one_second_copy_at_most_and_only_by_policy(office, word, status, code):
    policy(word)
    office.sandbox.fault("sendMail", "accept_then_status", times=8, **error(status, code))
    delivery = office.one()

    office.work()
    wait_out(office)

    resends = word == UncertainPolicy.RESEND
    assert len(office.delivered()) == (2 if resends else 1)
    assert fresh(delivery).copies == count(counters.SECOND_COPIES) == (1 if resends else 0)
    ends = {UncertainPolicy.HOLD: State.HELD, UncertainPolicy.FAIL: State.FAILED}
    assert delivery.state == ends.get(word, delivery.state)
    assert delivery.state in (State.HELD, State.SENT, State.FAILED)
    assert log(delivery)[0].outcome == Outcome.UNCERTAIN
    assert log(delivery)[0].graph_code == code


@pytest.mark.parametrize(("status", "code"), FAILED)
def test_one_such_answer_is_tried_again_after_an_ordinary_wait_and_counted(office, status, code):
    office.sandbox.fault("sendMail", "status", **error(status, code))
    delivery = office.one()

    office.work()

    fresh(delivery)
    assert (delivery.state, delivery.reason, delivery.attempts) == (State.UNCERTAIN, Reason.UNCERTAIN, 0)
    assert "may have been sent all the same" in delivery.last_error
    office.later(10)
    assert len(office.requests()) == 1
    office.later(10)
    assert fresh(delivery).state == State.SENT
    assert (len(office.delivered()), delivery.copies) == (1, 1)
    assert "this may be a second copy" in timeline(delivery)
    assert [entry.outcome for entry in log(delivery)] == [Outcome.UNCERTAIN, Outcome.SENT]


def test_the_wait_that_graph_asks_for_is_kept(office):
    office.sandbox.fault("sendMail", "status", **error(503, "ErrorServerBusy", retry_after="3600"))
    delivery = office.one()

    office.work()
    office.later(3500)
    assert len(office.requests()) == 1
    office.later(110)

    assert fresh(delivery).state == State.SENT


def test_a_mail_that_exchange_always_stumbles_over_is_held_after_the_second_time(office):
    office.sandbox.fault(
        "sendMail", "accept_then_status", times=None, **error(500, "ErrorInternalServerError")
    )
    delivery = office.one()

    office.work()
    wait_out(office)

    fresh(delivery)
    assert (delivery.state, delivery.reason) == (State.HELD, Reason.UNCERTAIN)
    assert len(office.requests()) == 2


def test_a_mail_that_fails_lets_the_others_of_its_mailbox_pass(office):
    office.sandbox.fault("sendMail", "accept_then_status", **error(500, "ErrorInternalServerError"))
    first, second = office.one(), office.one()

    office.work()
    office.later(2)

    assert (fresh(first).state, fresh(second).state) == (State.UNCERTAIN, State.SENT)


@pytest.mark.parametrize(("status", "code", "state"), CERTAIN)
def test_a_refusal_with_its_reason_leaves_no_doubt_whatever_its_status(office, status, code, state):
    policy(UncertainPolicy.HOLD)
    office.sandbox.fault("sendMail", "status", **error(status, code))
    delivery = office.one()

    office.work()

    assert fresh(delivery).state == state
    assert count(counters.UNCERTAIN) == 0


@pytest.mark.parametrize("word", list(UncertainPolicy))
def test_a_backlog_waits_for_the_service_while_a_request_without_mail_asks_for_it(office, word):
    policy(word)
    office.sandbox.fault("sendMail", "status", times=40, **error(503, "ErrorServerBusy"))
    deliveries = office.queue(30)

    office.work()
    wait_out(office, hours=5)

    copies = Counter(office.delivered())
    assert set(copies.values()) == {1}
    states = Counter(fresh(delivery).state for delivery in deliveries)
    if word == UncertainPolicy.RESEND:
        assert states == {State.SENT: 30}
    else:
        assert states[State.SENT] >= 30 - office.mailbox.concurrency
    assert sum(len(log(delivery)) for delivery in deliveries) <= 30 + office.mailbox.concurrency
    assert len(office.rehearsals()) > 30


# --- Where Sent Items may be read ------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "code"), FAILED)
@pytest.mark.parametrize("word", list(UncertainPolicy))
def test_a_copy_in_sent_items_settles_it_under_every_policy(writer, word, status, code):  # noqa: F811
    policy(word)
    writer.sandbox.fault("sendMail", "accept_then_status", times=8, **error(status, code))
    delivery = writer.one()

    writer.work()
    assert fresh(delivery).state == State.UNCERTAIN
    writer.later(61)

    assert fresh(delivery).state == State.SENT
    assert "is in Sent Items" in log(delivery)[0].sentence
    assert len(writer.delivered()) == 1
    assert delivery.copies == count(counters.SECOND_COPIES) == 0


def test_what_sent_items_do_not_show_is_sent_again_by_the_policy(writer):  # noqa: F811
    writer.sandbox.fault("sendMail", "status", **error(500, "ErrorInternalServerError"))
    delivery = writer.one()

    writer.work()
    writer.later(59)
    assert len(writer.requests()) == 1
    writer.later(2)

    assert (fresh(delivery).state, delivery.copies) == (State.SENT, 1)
    assert len(writer.delivered()) == 1


def test_the_second_such_answer_is_looked_up_too(writer):  # noqa: F811
    writer.sandbox.fault("sendMail", "status", **error(500, "ErrorInternalServerError"))
    writer.sandbox.fault("sendMail", "accept_then_status", **error(500, "ErrorInternalServerError"))
    delivery = writer.one()

    writer.work()
    writer.later(61)
    assert fresh(delivery).state == State.UNCERTAIN
    writer.later(61)

    assert (fresh(delivery).state, delivery.copies) == (State.SENT, 1)
    assert len(writer.delivered()) == 1


def test_what_sent_items_never_show_is_held_after_the_second_time(writer):  # noqa: F811
    writer.sandbox.fault("sendMail", "status", skip=0, **error(500, "ErrorInternalServerError"))
    delivery = writer.one()
    writer.work()
    writer.sandbox.world(behaviour={"sent_items_delay": 1e6})
    writer.sandbox.fault("sendMail", "accept_then_status", times=None, **error(500, "UnknownError"))

    wait_out(writer, hours=1)

    assert (fresh(delivery).state, delivery.reason) == (State.HELD, Reason.UNCERTAIN)
    assert len(writer.delivered()) == 1


# --- Throttling ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "code"), THROTTLED)
@pytest.mark.parametrize("word", list(UncertainPolicy))
def test_throttled_mail_goes_again_and_is_not_held(office, word, status, code):
    policy(word)
    office.sandbox.fault("sendMail", "status", times=8, retry_after="1", **error(status, code))
    delivery = office.one()

    office.work()
    wait_out(office, hours=1)

    assert fresh(delivery).state == State.SENT
    assert (len(office.delivered()), delivery.copies, delivery.attempts) == (1, 0, 0)
    assert [entry.outcome for entry in log(delivery)] == [Outcome.TRANSIENT, Outcome.SENT]
    assert len(office.rehearsals()) == 8
    assert timeline(delivery) == ""


@pytest.mark.parametrize(("status", "code"), THROTTLED)
def test_a_spell_of_throttling_in_which_mail_is_sent_all_the_same_makes_one_second_copy(office, status, code):
    office.sandbox.fault("sendMail", "accept_then_status", times=8, **error(status, code))
    delivery = office.one()

    office.work()
    wait_out(office, hours=1)

    assert fresh(delivery).state == State.SENT
    assert len(office.delivered()) == 2


@pytest.mark.parametrize(
    ("status", "code"),
    [
        *((status, "ApplicationThrottled") for status in (429, 500, 503)),
        *((status, "CommandConcurrencyLimitReached") for status in (429, 500, 503)),
        (429, "ErrorServerBusy"),
    ],
)
def test_a_copy_of_throttled_mail_in_sent_items_settles_it(writer, code, status):  # noqa: F811
    writer.sandbox.fault("sendMail", "accept_then_status", times=8, **error(status, code, retry_after="60"))
    delivery, other = writer.one(), writer.one()

    writer.work()
    writer.later(61)
    wait_out(writer, hours=1)

    assert fresh(delivery).state == State.SENT
    assert log(delivery)[0].outcome == Outcome.SENT
    assert fresh(other).state == State.SENT
    assert Counter(writer.delivered()) == dict.fromkeys(Counter(writer.delivered()), 1)


def test_throttled_mail_drains_though_the_look_is_throttled_too(writer):  # noqa: F811
    writer.sandbox.fault("sendMail", "throttled", times=3)
    writer.sandbox.fault("folders", "throttled", times=3)
    deliveries = writer.queue(6)

    writer.work()
    wait_out(writer, hours=1)

    assert {fresh(delivery).state for delivery in deliveries} == {State.SENT}
    assert len(writer.delivered()) == 6


def test_a_request_without_mail_counts_in_the_limits(office):
    office.sandbox.fault("sendMail", "throttled", retry_after="5")
    office.one()

    office.work()
    office.later(6)

    used = limits.used(fresh(office.mailbox), clock.now())
    assert used["requests_per_10_minutes"] == len(office.requests()) + len(office.rehearsals()) == 3
    assert used["recipients_per_day"] == 2


def test_mail_behind_a_mailbox_that_fails_for_days_ends_as_too_old(office, settings):
    office.one()
    office.work()
    settings.DELIVERY_MAX_AGE = 3600
    office.sandbox.fault("sendMail", "throttled", times=None)
    deliveries = office.queue(6)

    office.work()
    for _ in range(70):
        office.later(60)
        Mailbox.objects.update(paused_until=None)

    assert {fresh(delivery).reason for delivery in deliveries} == {Reason.TOO_OLD}


# --- Whole installations ---------------------------------------------------------------------------------


def test_a_gateway_whose_mailbox_takes_one_request_at_a_time_drains(embedded):
    embedded.sandbox.world(
        limits={"concurrency": 1, "retry_after_seconds": 0.2, "retry_after": "fractional"},
        behaviour={"latency_ms": 30},
    )
    listener = embedded.start()
    for number in range(30):
        send(listener.smtp_port, mail(number))

    embedded.wait_for(sent=30, timeout=120)

    ids = [delivery["internet_message_id"] for delivery in embedded.delivered()]
    assert sorted(ids) == sorted(f"<test-{number}@app.test>" for number in range(30))
    assert rows(embedded.environment, "SELECT MAX(copies) FROM mailrelay_delivery") == [(0,)]


def test_a_gateway_on_a_cluster_makes_one_second_copy_of_a_mail_that_failed_eight_times(on_redis):
    on_redis.environment |= {"UNCERTAIN_DELAY": "1"}
    listener = on_redis.start()
    on_redis.sandbox.fault(
        "sendMail", "accept_then_status", times=8, **error(500, "ErrorInternalServerError")
    )

    send(listener.smtp_port, mail(1))

    on_redis.wait_for(held=1)
    assert len(on_redis.delivered()) == 2
    assert rows(on_redis.environment, "SELECT copies, reason FROM mailrelay_delivery") == [(1, "uncertain")]
