"""The sweep: a batch at a time, found by an index, and age counts from the release."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mailrelay.models import Delivery, Mailbox
from mailrelay.outbox.db import clock
from mailrelay.outbox.holding import configuration_holds
from mailrelay.outbox.operators import actions
from mailrelay.outbox.scheduling import sweep
from mailrelay.outbox.settling import reports
from mailrelay.vocabulary import Reason, State
from tests.outbox import rows

pytestmark = pytest.mark.django_db(transaction=True)


def states() -> list[str]:
    return sorted(Delivery.objects.values_list("state", flat=True))


def test_it_takes_one_batch_and_says_that_there_may_be_more(monkeypatch):
    monkeypatch.setattr(configuration_holds, "BATCH", 2)
    box = rows.mailbox()
    rows.queue(box, 5)
    Mailbox.objects.update(blocked=Reason.MAILBOX_UNKNOWN)

    assert sweep.run()
    assert states() == [State.HELD] * 2 + [State.QUEUED] * 3
    assert sweep.run()
    assert sweep.run()
    assert not sweep.run()
    assert states() == [State.HELD] * 5


def test_what_is_too_old_fails_and_what_was_released_does_not(settings):
    settings.DELIVERY_MAX_AGE = 60
    old, released = rows.queue(rows.mailbox(), 2)
    actions.hold(released.message_id, "ann")
    Delivery.objects.update(created_at=clock.now() - timedelta(seconds=100))
    rows.attempt(old, clock.now() - timedelta(seconds=90))
    actions.release(released.message_id, "ann")

    assert sweep.run()

    assert Delivery.objects.get(pk=old.pk).reason == Reason.TOO_OLD
    assert Delivery.objects.get(pk=released.pk).state == State.QUEUED


def test_what_waits_too_long_is_found_by_its_index_however_much_there_is():
    Delivery.objects.update(state=State.SENT)
    rows.queue(rows.mailbox(), 1)
    Delivery.objects.update(created_at=clock.now() - timedelta(days=30))

    with CaptureQueriesContext(connection) as asked:
        sweep._age_batch()
        reports.waiting(None)
    by_age = [query["sql"] for query in asked if "COALESCE" in query["sql"] and "SELECT" in query["sql"]]

    assert len(by_age) == 2
    for sql in by_age:
        assert "delivery_age" in plan(sql)


def plan(sql: str) -> str:
    """Ask SQLite how it would answer a query that was recorded with its values in place, unquoted."""
    import re

    quoted = re.sub(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)", r"'\1'", sql).replace("''", "'")
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {quoted}")
        return "\n".join(str(row) for row in cursor.fetchall())
