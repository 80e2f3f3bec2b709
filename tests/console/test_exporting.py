"""All that a list shows as CSV, also where that goes on beyond what a list reaches."""

from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

import pytest

from mailrelay.models import NonDelivery
from mailrelay.outbox.keeping import subject_index
from mailrelay.outbox.submission import new_queue_id
from mailrelay.vocabulary import State
from tests.console import rows
from tests.console.rows import make_attempt, make_message

pytestmark = pytest.mark.django_db
LIST = "/admin/mailrelay/message/"
SECOND = timedelta(seconds=1)


def exported(browser, query: dict[str, str]) -> list[str]:
    """The queue ids of the lines, from the top."""
    ticked = {"action": "export", "_selected_action": ["x"], "select_across": "1", "index": "0"}
    answer = browser.post(f"{LIST}?{urlencode(query)}", ticked)
    lines = b"".join(answer.streaming_content).decode().splitlines()
    return [line.split(",")[0] for line in lines[1:]]


@pytest.fixture
def small(monkeypatch):
    for module, name, most in (
        *(("messages", "REACH", 4), ("message_search", "REACH", 4), ("message_search", "LOOKED", 5)),
        ("message_export", "BATCH", 3),
    ):
        monkeypatch.setattr(f"mailrelay.console.{module}.{name}", most)


@pytest.fixture
def stored(sender, now, monkeypatch):
    """Messages of nine minutes, two of each but the oldest, the newest first; what came of them came last."""
    made = []
    for number in reversed(range(17)):
        at = now - timedelta(minutes=number // 2)
        queue_id = UUID(int=int(at.timestamp() * 1000) << 80 | new_queue_id().int & (1 << 80) - 1)
        monkeypatch.setattr(rows, "new_queue_id", lambda queue_id=queue_id: queue_id)
        row = make_message(sender, state=State.SENT, subject="Weekly scan", size=4_000_000, created_at=at)
        subject_index.add([(row.deliveries.get().pk, row.subject)])
        # As after an outage that lasted: late attempts, and later the older the message is.
        attempt = make_attempt(row, graph_code="ErrorX", outcome="deferred")
        type(attempt).objects.filter(pk=attempt.pk).update(started_at=now + timedelta(seconds=number))
        NonDelivery.objects.create(message=row, report=row.queue_id, received_at=now - number * SECOND)
        made.append(row)
    ordered = sorted(made, key=lambda row: (row.created_at, row.pk), reverse=True)
    return [row.queue_id for row in ordered]


@pytest.mark.parametrize(
    "query",
    [
        *({"state": "sent"}, {"q": "anna@example.org"}, {"q": "scanner@contoso.test"}, {"q": "weekly"}),
        *({"code": "ErrorX"}, {"state": "bounced"}, {"size": "3"}, {"state": "sent", "client": "0"}, {}),
    ],
)
def test_it_goes_on_beyond_the_reach_of_the_list(browser, stored, small, query):
    assert exported(browser, query) == stored


def test_it_keeps_to_the_stretch_of_time(browser, stored, small, now):
    begin = (now - timedelta(minutes=6, seconds=30)).isoformat()
    end = (now - timedelta(minutes=1, seconds=30)).isoformat()
    for query in ({"state": "sent"}, {"code": "ErrorX"}, {"q": "weekly"}):
        assert exported(browser, {**query, "from": begin, "until": end}) == stored[4:14]


def test_what_matches_nothing_is_a_heading_alone(browser, stored, small):
    assert exported(browser, {"state": "failed"}) == []
    assert exported(browser, {"q": "nobody@example.org"}) == []
