"""Mail of which a part is missing is held and never sent, by neither route."""

import pytest

from mailrelay.models import ContentChunk, Message
from mailrelay.outbox.db import clock
from mailrelay.outbox.operators import actions
from mailrelay.outbox.submission import CHUNK_SIZE
from mailrelay.vocabulary import Reason, State
from tests.delivery.office import fresh, timeline
from tests.large.mails import MEBIBYTE, with_files


@pytest.mark.parametrize("size", [MEBIBYTE, 4 * MEBIBYTE])
@pytest.mark.parametrize("lost", [[0, 1], [2], [-1]])
def test_mail_of_which_a_part_is_missing_is_held_until_it_is_whole(writer, queued, size, lost):
    delivery = queued(with_files([size]))
    chunks = ContentChunk.objects.filter(content=delivery.message_id).order_by("number")
    gone = [list(chunks)[number] for number in lost]
    ContentChunk.objects.filter(pk__in=[chunk.pk for chunk in gone]).delete()

    writer.work()

    assert (fresh(delivery).state, delivery.reason) == (State.HELD, Reason.CONTENT_LOST)
    stored = delivery.size - sum(len(chunk.data) for chunk in gone)
    assert f"Of the {delivery.size} bytes of this message {stored} are stored" in timeline(delivery)
    assert not writer.delivered()

    ContentChunk.objects.bulk_create(gone)
    actions.release(delivery.message_id, "ann")
    writer.work()
    assert (fresh(delivery).state, len(writer.delivered())) == (State.SENT, 1)


def test_what_retention_has_marked_is_not_sent_though_its_bytes_are_still_there(writer, queued):
    delivery = queued(with_files([CHUNK_SIZE]))
    Message.objects.filter(pk=delivery.message_id).update(content_removed_at=clock.now())

    writer.work()

    assert (fresh(delivery).state, delivery.reason) == (State.FAILED, Reason.TOO_OLD)
    assert not writer.delivered()
