"""Content that is being stored is nobody's orphan, and no mail is taken of which a part is missing."""

import time
from datetime import timedelta
from uuid import UUID

import pytest

from mailrelay.models import ContentChunk, Message
from mailrelay.outbox import submission
from mailrelay.outbox.accepting.accept import Acceptor
from mailrelay.outbox.db import clock
from mailrelay.outbox.errors import ContentNotWholeError
from mailrelay.outbox.keeping import content
from mailrelay.outbox.operators import resend
from mailrelay.outbox.scheduling import retention
from mailrelay.outbox.submission import CHUNK_SIZE, new_queue_id
from mailrelay.vocabulary import State
from tests.outbox import rows

pytestmark = pytest.mark.django_db(transaction=True)

MAIL = b"Subject: report\r\n\r\n" + b"a line of the report\r\n" * 100_000
PIECES = -(-len(MAIL) // CHUNK_SIZE)


class Interrupted:
    """A mail whose storing something comes in between, before the piece `number` is read."""

    size = len(MAIL)

    def __init__(self, number, happens):
        self._number, self._happens = number, happens

    def chunks(self, size):
        for number, at in enumerate(range(0, len(MAIL), size)):
            if number == self._number:
                self._happens()
            yield MAIL[at : at + size]


@pytest.fixture
def acceptor():
    made = Acceptor()
    yield made
    made.close()


@pytest.fixture
def box():
    made = rows.mailbox()
    rows.sender(made)
    return made


def submitted(acceptor, box, mail, queue_id=None):
    """Accept `mail`; return its queue id."""
    queue_id = queue_id or new_queue_id()
    acceptor.submit(rows.submission(box, mail, id=queue_id)).result(60)
    return queue_id


def id_of(age: timedelta, monkeypatch) -> UUID:
    """Make a queue id as a host does whose clock is behind."""
    behind = time.time_ns() - int(age.total_seconds() * 1e9)
    with monkeypatch.context() as patched:
        patched.setattr(submission.time, "time_ns", lambda: behind)
        return new_queue_id()


def test_what_a_host_with_a_slow_clock_stores_is_not_swept_meanwhile(acceptor, box, monkeypatch):
    queue_id = id_of(timedelta(hours=2), monkeypatch)

    submitted(acceptor, box, Interrupted(5, retention.run), queue_id)

    assert content.read(queue_id) == MAIL


def test_what_a_form_that_was_open_for_long_forwards_is_not_swept_meanwhile(box, monkeypatch):
    (delivery,) = rows.queue(box, 1, state=State.SENT)
    rows.give(delivery, MAIL)
    new_id = resend.forward_id(id_of(timedelta(hours=2), monkeypatch), delivery.message_id, "a@example.org")
    stream = content.stream

    def interrupted(queue_id):
        for number, piece in enumerate(stream(queue_id)):
            if number == PIECES - 1:
                retention.run()
            yield piece

    monkeypatch.setattr(content, "stream", interrupted)
    message = Message.objects.get(pk=delivery.message_id)

    assert resend.forward(message, "ann", "carl@example.org", new_id)
    assert content.read(new_id) == MAIL


def test_a_forward_that_was_cut_short_is_finished_by_the_next_press(box):
    (delivery,) = rows.queue(box, 1, state=State.SENT)
    rows.give(delivery, MAIL)
    new_id = resend.forward_id(new_queue_id(), delivery.message_id, "a@example.org")
    pieces = ContentChunk.objects.filter(content=delivery.message_id).order_by("number")
    for piece in pieces[: PIECES - 2]:
        ContentChunk.objects.create(
            content=new_id, number=piece.number, data=piece.data, created_at=clock.now()
        )

    assert resend.forward(Message.objects.get(pk=delivery.message_id), "ann", "a@example.org", new_id)
    assert content.read(new_id) == MAIL


def test_no_receipt_is_given_for_mail_of_which_a_part_is_missing(acceptor, box):
    def lose():
        ContentChunk.objects.filter(number=1).delete()

    with pytest.raises(ContentNotWholeError, match=f"{len(MAIL) - CHUNK_SIZE} are stored"):
        submitted(acceptor, box, Interrupted(PIECES - 1, lose))

    assert not Message.objects.exists()
    queue_id = submitted(acceptor, box, Interrupted(-1, lose))
    assert content.read(queue_id) == MAIL


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=3)])
def test_what_was_left_behind_is_swept_whatever_clock_made_its_id(ahead, monkeypatch):
    queue_id = id_of(-ahead, monkeypatch)
    for number in range(3):
        stored = clock.now() - retention.ORPHAN_AGE - timedelta(minutes=1)
        ContentChunk.objects.create(content=queue_id, number=number, data=b"x", created_at=stored)

    retention.run()

    assert not ContentChunk.objects.exists()


def test_content_to_which_something_was_just_added_is_still_being_stored():
    queue_id = new_queue_id()
    for number, age in enumerate((3, 2, 0)):
        stored = clock.now() - age * retention.ORPHAN_AGE
        ContentChunk.objects.create(content=queue_id, number=number, data=b"x", created_at=stored)

    retention.run()

    assert ContentChunk.objects.count() == 3
