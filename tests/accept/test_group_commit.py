"""Sessions that wait at the same time share a commit, and one that cannot be stored harms no other."""

from contextlib import ExitStack
from random import Random

from tests.accept.installation import deliver, hand_in, queue_id_of, sent
from tests.harness.ports import eventually

SESSIONS = 20


def hand_in_together(installation, relay, contents) -> list[str]:
    """Let one session each hand in while nobody can commit, so that all wait; return their replies."""
    with ExitStack() as talks:
        with installation.locked():
            waiting = [talks.enter_context(hand_in(relay.smtp_port, content)) for content in contents]
            wait_until_all_are_submitted(relay, len(contents))
        return [talk.reply() for talk in waiting]


def wait_until_all_are_submitted(relay, number: int) -> None:
    eventually(lambda: relay.metrics()["graph_smtp_commits_awaited"] >= number, 30, "submissions")


def large_batches(relay) -> float:
    """Commits that more than eight writes shared."""
    metrics = relay.metrics()
    return metrics["graph_smtp_writer_batch_count"] - metrics['graph_smtp_writer_batch_bucket{le="8.0"}']


def test_sessions_that_wait_together_share_a_commit(installation):
    relay = installation.relay().start()

    replies = hand_in_together(installation, relay, [sent(number) for number in range(SESSIONS)])

    assert sorted(map(queue_id_of, replies)) == installation.queue_ids()
    assert large_batches(relay) >= 1
    assert installation.total("accepted") == SESSIONS
    for number, reply in enumerate(replies):
        assert installation.content(queue_id_of(reply)) == sent(number)


def test_a_mail_that_the_database_refuses_fails_alone(installation):
    installation.refuse_subject("poison")
    relay = installation.relay().start()
    contents = [sent(number, subject="poison" if number == 7 else None) for number in range(SESSIONS)]

    replies = hand_in_together(installation, relay, contents)

    assert replies[7].startswith("451 4.3.0 ")
    accepted = [reply for number, reply in enumerate(replies) if number != 7]
    assert sorted(map(queue_id_of, accepted)) == installation.queue_ids()
    assert installation.count("contentchunk") == installation.count("recipient") == SESSIONS - 1
    assert installation.total("accepted") == SESSIONS - 1


def test_a_large_mail_that_the_database_refuses_leaves_no_chunks(installation):
    installation.refuse_subject("poison")
    relay = installation.relay().start()

    assert deliver(relay.smtp_port, sent(1, 600_000, subject="poison")).startswith("451 4.3.0 ")

    eventually(installation.is_empty, 30, "the chunks being gone")
    queue_id_of(deliver(relay.smtp_port, sent(2, 600_000)))


def test_texts_that_databases_do_not_take_are_stored_in_place_of_themselves(installation):
    relay = installation.relay().start()
    hostile = (
        b"From: app@contoso.test\r\nSubject: =?utf-8?q?a=00b?= \xed\xa0\x80\xff\r\n"
        b"Message-ID: <" + "\U0001f4e7".encode() * 300 + bytes(range(1, 9)) + b"@x>\r\n\r\nx\r\n"
    )

    queue_id_of(deliver(relay.smtp_port, hostile))
    # Four bytes a character, and nothing that PostgreSQL could compress into what its indexes take.
    longest = "".join(map(chr, Random(1).choices(range(0x20000, 0x2A000), k=990))).encode()
    queue_id_of(deliver(relay.smtp_port, b"From: a@x.test\r\nMessage-ID: <" + longest + b">\r\n\r\nx\r\n"))

    assert installation.count("message") == 2
