"""Content goes when its time is over, in pieces, and is said to be gone wherever it is looked for."""

from datetime import timedelta
from pathlib import Path

import pytest

from mailrelay.models import ContentChunk, Delivery, Message
from mailrelay.outbox.db import clock
from mailrelay.outbox.errors import ContentRemovedError
from mailrelay.outbox.operators import actions
from mailrelay.outbox.scheduling import retention
from mailrelay.vocabulary import Reason, State
from tests.harness.ports import eventually
from tests.harness.processes import mail, manage, rows, send
from tests.outbox import rows as made

in_this_process = pytest.mark.django_db(transaction=True)


def finished(state, *, ago, chunks=1, **columns):
    """Store a message that came to `state` a while ago."""
    (delivery,) = made.queue(made.mailbox(f"{state}-{chunks}@contoso.test"), 1, state=state, **columns)
    Message.objects.filter(pk=delivery.message_id).update(state=state, state_at=clock.now() - ago)
    ContentChunk.objects.bulk_create(
        ContentChunk(content=delivery.message_id, number=number, data=b"x", created_at=clock.now())
        for number in range(1, chunks)
    )
    return delivery


def kept(delivery) -> bool:
    return ContentChunk.objects.filter(content=delivery.message_id).exists()


@in_this_process
@pytest.mark.parametrize(
    ("state", "time"),
    [
        (State.SENT, timedelta(hours=72)),
        (State.FAILED, timedelta(days=30)),
        (State.CANCELLED, timedelta(days=30)),
        (State.HELD, timedelta(days=30)),
    ],
)
def test_content_is_kept_for_its_time_and_no_longer(state, time):
    young = finished(state, ago=time - timedelta(minutes=5))
    old = finished(state, ago=time + timedelta(minutes=5), chunks=3)

    retention.run()

    assert kept(young) and not kept(old)
    old.message.refresh_from_db()
    assert old.message.content_removed_at is not None


@in_this_process
def test_what_waits_keeps_its_content_however_old_it_is():
    waiting = [finished(state, ago=timedelta(days=300)) for state in (State.QUEUED, State.DEFERRED)]

    retention.run()

    assert all(map(kept, waiting))


@in_this_process
@pytest.mark.parametrize(
    "other", [State.QUEUED, State.RESERVED, State.SENDING, State.DEFERRED, State.UNCERTAIN]
)
def test_a_part_that_is_held_does_not_take_the_content_of_one_that_is_yet_to_be_sent(other):
    held = finished(State.HELD, ago=timedelta(days=31), chunks=3)
    live = Delivery.objects.create(
        message=held.message,
        sender=held.sender,
        mailbox=held.mailbox,
        created_at=held.created_at,
        state=other,
        client_key=held.client_key,
        part=2,
    )

    retention.run()

    assert ContentChunk.objects.filter(content=held.message_id).count() == 3
    held.refresh_from_db()
    assert held.state == State.HELD
    Delivery.objects.filter(pk=live.pk).update(state=State.SENT)
    retention.run()
    assert not kept(held)


@in_this_process
def test_no_transaction_removes_more_than_a_few_rows(monkeypatch):
    monkeypatch.setattr(retention, "CHUNKS", 10)
    removed, write = [], retention.write

    def counted(move, run, **more):
        before = ContentChunk.objects.count()
        result = write(move, run, **more)
        removed.append(before - ContentChunk.objects.count())
        return result

    monkeypatch.setattr(retention, "write", counted)
    large = finished(State.SENT, ago=timedelta(days=4), chunks=95)

    retention.run()

    assert not kept(large)
    assert max(removed) == 10 and sum(removed) == 95


@in_this_process
def test_it_rests_between_two_transactions_and_ends_when_told():
    rests = []
    for number in range(3):
        finished(State.SENT, ago=timedelta(days=4), chunks=number + 2)

    retention.run(lambda seconds: rests.append(seconds) or len(rests) > 1)

    assert len(rests) >= 2
    assert all(0 <= seconds <= retention.LONGEST_REST for seconds in rests)


@in_this_process
def test_a_message_is_marked_before_its_first_byte_goes_and_the_rest_is_found_after_a_crash():
    delivery = finished(State.SENT, ago=timedelta(days=4), chunks=80)

    assert retention.write(retention.Move.RETAIN, retention._mark) == [delivery.message_id]
    retention._remove_some([delivery.message_id])

    delivery.message.refresh_from_db()
    assert delivery.message.content_removed_at is not None
    numbers = ContentChunk.objects.filter(content=delivery.message_id).values_list("number", flat=True)
    assert min(numbers) == 0
    retention.run()
    assert kept(delivery)
    retention.finish()
    assert not kept(delivery)


@in_this_process
def test_held_mail_whose_content_goes_has_failed():
    held = finished(State.HELD, ago=timedelta(days=31), reason=Reason.POISON)

    retention.run()

    held.refresh_from_db()
    assert (held.state, held.reason, held.bounced_at) == (State.FAILED, Reason.TOO_OLD, None)
    assert "Held for 30 days" in held.last_error


@in_this_process
def test_the_record_goes_last_with_all_that_belongs_to_it():
    old = finished(State.SENT, ago=timedelta(days=91))
    young = finished(State.FAILED, ago=timedelta(days=89))

    retention.run()

    assert list(Message.objects.values_list("pk", flat=True)) == [young.message_id]
    assert not Delivery.objects.filter(pk=old.pk).exists()


@in_this_process
@pytest.mark.parametrize("action", ["requeue", "release"])
def test_what_has_no_content_is_not_sent_again(action):
    delivery = finished(State.FAILED if action == "requeue" else State.HELD, ago=timedelta(0))
    Message.objects.filter(pk=delivery.message_id).update(content_removed_at=clock.now())

    with pytest.raises(ContentRemovedError, match="cannot be sent again: its content was removed"):
        actions.ACTIONS[action](delivery.message_id, "a person")


@in_this_process
def test_nothing_is_written_when_nothing_is_over(monkeypatch):
    finished(State.SENT, ago=timedelta(hours=1))
    retention.run()
    writes = []
    monkeypatch.setattr(retention, "write", lambda *_, **__: writes.append(1) or 0)

    retention.run()

    assert writes == []


def test_the_file_does_not_grow_with_the_mail_that_went_through_it(embedded):
    """Sent mail is removed at once: three times as much mail leaves the file as large as it was."""
    listener = embedded.start(RETENTION_SENT_HOURS="0")
    file = Path(embedded.environment["DATA_DIR"]) / "gateway.sqlite3"
    count = "SELECT COUNT(*) FROM mailrelay_contentchunk"

    def after(first, last):
        for number in range(first, last):
            send(listener.smtp_port, mail(number, size=1_500_000))
        embedded.wait_for(sent=last)
        eventually(lambda: rows(embedded.environment, count) == [(0,)], 60, "no content being kept")
        return eventually(lambda: small(file), 60, "the file being small")

    after(0, 20)
    after(20, 60)

    assert file.stat().st_size < LARGEST
    shown = manage(embedded.environment, "mailq", "show", oldest(embedded)).stdout
    assert "content removed at" in shown and "cannot be sent again" in shown
    resent = manage(embedded.environment, "mailq", "requeue", oldest(embedded), check=False)
    assert resent.returncode == 1 and "cannot be sent again" in resent.stderr


#: Pages that stay free for the next mail, and what the record of 60 mails takes: 60 mails were 90 MB.
LARGEST = retention.SPARE * 8192 + 8 * 1024 * 1024


def small(file) -> bool:
    return file.stat().st_size < LARGEST


def oldest(stack) -> str:
    return str(rows(stack.environment, "SELECT id FROM mailrelay_message ORDER BY created_at")[0][0])
