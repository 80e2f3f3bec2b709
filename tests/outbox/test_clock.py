"""Clocks that differ by moments or were ahead: no limit is passed by them, and none stays shut for them."""

import subprocess
import sys
import time
from datetime import timedelta

import pytest

from mailrelay.models import Delivery, Worker
from mailrelay.outbox.claiming import claim
from mailrelay.outbox.db import clock
from mailrelay.outbox.rules import limits
from mailrelay.vocabulary import State
from tests.accept.installation import NOWHERE
from tests.harness.processes import ROOT, base_environment
from tests.outbox import rows

in_this_process = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ahead(monkeypatch):
    """Give the queue a clock that stands; the function says by how much it is ahead."""
    begun = clock.now()

    def step(by: timedelta) -> None:
        monkeypatch.setattr(clock, "now", lambda: begun + by)
        Worker.objects.all().delete()
        rows.workers()

    step(timedelta(0))
    return step


def sent(box) -> int:
    """Send all that a mailbox may send now."""
    count = 0
    while claimed := claim.claim(box.pk):
        ids = [reservation.delivery_id for reservation in claimed]
        Delivery.objects.filter(pk__in=ids).update(state=State.SENT, token=None, leased_until=None)
        count += len(ids)
    return count


@in_this_process
def test_two_processes_whose_clocks_differ_earn_no_more_than_one(ahead):
    box = rows.mailbox(concurrency=0, messages_per_minute=30)
    rows.queue(box, 90)
    assert sent(box) == 30

    earned = 0
    for tenth in range(100):
        for skew in (0, 5):
            ahead(timedelta(seconds=tenth / 10 + skew))
            earned += sent(box)

    assert earned == 7  # (10 + 5) seconds at two seconds each
    ahead(timedelta(seconds=10))
    assert sent(box) == 0
    box.refresh_from_db()
    assert timedelta(seconds=0) < box.wake_at - clock.now() <= timedelta(seconds=8)


@in_this_process
def test_a_bucket_that_was_filled_by_a_clock_a_day_ahead_fills_again_at_once(ahead):
    box = rows.mailbox(concurrency=0, messages_per_minute=30)
    rows.queue(box, 90)
    ahead(timedelta(days=1))
    assert sent(box) == 30

    ahead(timedelta(0))
    assert sent(box) == 0
    ahead(timedelta(minutes=1))
    assert sent(box) == 30


@in_this_process
@pytest.mark.parametrize(
    ("limit", "value"),
    [("requests_per_10_minutes", 5), ("upload_bytes_per_5_minutes", 7_000), ("recipients_per_day", 5)],
)
def test_what_a_clock_was_ahead_keeps_no_window_shut_for_longer_than_the_window(ahead, limit, value):
    box = rows.mailbox(concurrency=0, **{limit: value})
    rows.queue(box, 30)
    window = next(sliding.window for sliding in limits.SLIDING if sliding.limit == limit)
    ahead(timedelta(days=3))
    assert sent(box) == 5

    ahead(timedelta(0))
    assert sent(box) == 0  # it is not known when that was: it counts from now on
    for turn in (1, 2):
        ahead(turn * timedelta(seconds=window.span + 2 * window.grain))
        assert sent(box) == 5


@in_this_process
def test_a_slot_that_a_clock_ahead_keeps_cooling_is_free_a_minute_later(ahead):
    box = rows.mailbox(concurrency=1)
    rows.queue(box, 1)
    ahead(timedelta(days=1))
    limits.cool(box, clock.now())
    box.save()

    ahead(timedelta(0))
    assert sent(box) == 0
    ahead(timedelta(seconds=limits.COOLING + 1))
    assert sent(box) == 1


#: Says that it is ready, asks the time when told to, and tells how far off its idea of it is then.
ASK = """
from django.db import connection
from mailrelay.outbox.db import clock
clock.now()
clock.TRUSTED = 0.0
print("ready", flush=True)
input()
clock.now()
clock.TRUSTED = 60.0
with connection.cursor() as cursor:
    cursor.execute("SELECT clock_timestamp()")
    print(abs((clock.now() - cursor.fetchone()[0]).total_seconds()), flush=True)
"""
FROZEN = 4.0


@pytest.mark.timeout(240)
def test_an_answer_that_took_seconds_puts_no_clock_off_by_them(tmp_path, postgresql):
    environment = base_environment(tmp_path / "data", **NOWHERE, DATABASE_URL=postgresql.database())
    process = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", ASK],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        postgresql.pause()
        try:
            process.stdin.write("\n")
            process.stdin.flush()
            time.sleep(FROZEN)
        finally:
            postgresql.resume()
        assert float(process.stdout.readline()) < FROZEN / 4
