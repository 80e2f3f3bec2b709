"""Large content is committed ahead in rows of 256 KiB, and belongs to a message or is swept."""

import smtplib
import socket
from contextlib import suppress

import pytest

from tests.accept.installation import deliver, hand_in, queue_id_of, sent
from tests.harness.ports import eventually
from tests.smtp.smtp_server import Talk

CHUNK = 256 * 1024
LARGE = sent("large", 2_800_000)
#: Killed here, the client has no 250, and nothing is left but so many chunks, committed ahead by fours.
AHEAD = {"store_chunk.before:1": 0, "store_chunk.before:3": 8, "store_chunk.after:3": 11, "accept.before": 11}
#: Killed here, the client has no 250, and the mail is stored.
AFTER_THE_COMMIT = ["accept.after", "reply.before"]


def deliver_and_be_cut(relay, content: bytes) -> None:
    with suppress(OSError, smtplib.SMTPException, AssertionError):
        reply = deliver(relay.smtp_port, content)
        assert not reply.startswith("250"), reply
    relay.wait_until_killed()


def test_large_content_is_kept_in_rows_of_256_kib(installation):
    relay = installation.relay().start()

    queue_id = queue_id_of(deliver(relay.smtp_port, LARGE))

    sizes = installation.rows("SELECT LENGTH(data) FROM mailrelay_contentchunk ORDER BY number")
    assert [size for (size,) in sizes[:-1]] == [CHUNK] * (len(LARGE) // CHUNK)
    assert installation.content(queue_id) == LARGE
    assert installation.rows("SELECT size FROM mailrelay_message")[0][0] == sum(size for (size,) in sizes)


@pytest.mark.parametrize("point", AHEAD)
def test_a_kill_before_the_commit_leaves_orphan_chunks_at_most_and_they_are_swept(installation, point):
    relay = installation.relay().start(FAILPOINT=point)
    deliver_and_be_cut(relay, LARGE)

    assert not any(map(installation.count, ("message", "delivery", "recipient")))
    orphans = installation.count("contentchunk")
    assert orphans == AHEAD[point]
    make_orphans_old(installation)
    installation.sweep()

    assert installation.count("contentchunk") == 0
    assert installation.total("orphans_swept") == (1 if orphans else 0)
    relay.start()
    queue_id = queue_id_of(deliver(relay.smtp_port, LARGE))
    assert installation.content(queue_id) == LARGE


@pytest.mark.parametrize("point", AFTER_THE_COMMIT)
def test_a_kill_after_the_commit_keeps_the_whole_mail_once(installation, point):
    relay = installation.relay().start(FAILPOINT=point)
    deliver_and_be_cut(relay, LARGE)

    (queue_id,) = installation.queue_ids()
    assert installation.content(queue_id) == LARGE
    relay.start()
    assert installation.rows("SELECT state FROM mailrelay_delivery") == [("queued",)]


def test_a_kill_right_after_the_250_keeps_the_mail(installation):
    relay = installation.relay().start()

    queue_id = queue_id_of(deliver(relay.smtp_port, sent(1)))
    relay.kill()

    assert installation.queue_ids() == [queue_id]
    assert installation.rows("SELECT state FROM mailrelay_delivery") == [("queued",)]


def test_the_sweep_leaves_young_chunks_and_those_of_messages(installation):
    relay = installation.relay().start(FAILPOINT="accept.before:2")
    stored = queue_id_of(deliver(relay.smtp_port, LARGE))
    deliver_and_be_cut(relay, LARGE)
    before = installation.count("contentchunk")

    installation.sweep()

    assert installation.count("contentchunk") == before > len(LARGE) // CHUNK
    assert installation.content(stored) == LARGE
    assert installation.total("orphans_swept") == 0


def make_orphans_old(installation) -> None:
    """Let chunks without a message have been stored long ago, by the database's clock."""
    installation.execute(
        "UPDATE mailrelay_contentchunk SET created_at = '2020-01-01 00:00:00' "
        "WHERE content NOT IN (SELECT id FROM mailrelay_message)"
    )


def test_a_client_that_is_cut_in_the_middle_leaves_nothing(installation):
    relay = installation.relay().start()
    talk = Talk(relay.smtp_port)
    talk.begin("app@contoso.test", "ann@example.org")
    talk.send(LARGE[:900_000])
    talk.close()

    aborted = 'graph_smtp_messages_aborted_total{phase="data"}'
    eventually(lambda: relay.metrics().get(aborted) == 1, 30, "the abort being seen")
    assert installation.is_empty()
    assert not any((installation.folder / "spool").iterdir())
    queue_id_of(deliver(relay.smtp_port, LARGE))


def test_a_client_that_half_closes_after_its_dot_gets_its_250_and_one_row(installation):
    relay = installation.relay().start()
    with hand_in(relay.smtp_port, LARGE) as talk:
        talk.socket.shutdown(socket.SHUT_WR)
        queue_id = queue_id_of(talk.reply())

    assert installation.queue_ids() == [queue_id]
