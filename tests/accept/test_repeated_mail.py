"""A mail that is sent again since its 250 was lost is stored once, and answered with the first queue id."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from mailrelay.outbox.accepting import duplicates
from tests.accept.installation import deliver, hand_in, queue_id_of, sent, wait_until_mail_is_taken
from tests.accept.test_group_commit import hand_in_together, wait_until_all_are_submitted
from tests.harness.ports import eventually
from tests.smtp.smtp_server import Talk


def timeline(installation, queue_id: str) -> list[str]:
    rows = installation.rows(
        "SELECT text FROM mailrelay_timelineentry WHERE message_id = %s ORDER BY id", queue_id
    )
    return [text for (text,) in rows]


def send(
    relay, content: bytes, mail_from: str = "app@contoso.test", *recipients: str, source="127.0.0.1"
) -> str:
    with Talk(relay.smtp_port, source=source) as talk:
        return queue_id_of(talk.mail(content, mail_from, *(recipients or ("ann@example.org",))))


@pytest.mark.parametrize("size", [0, 100_000, 2_000_000], ids=["small", "in-memory", "large"])
def test_the_same_mail_again_is_the_same_message(installation, size):
    relay = installation.relay().start()

    first, again, third = (deliver(relay.smtp_port, sent(1, size)) for _ in range(3))

    assert first == again == third
    assert installation.queue_ids() == [queue_id_of(first)]
    assert installation.count("delivery") == installation.count("recipient") == 1
    assert installation.content(queue_id_of(first)) == sent(1, size)
    assert (installation.total("accepted"), installation.total("repeated")) == (1, 2)
    told = timeline(installation, queue_id_of(first))
    assert len(told) == 2 and all("sent it again" in text for text in told)
    pieces = -(-(len(sent(1, size)) + 200) // 262_144)
    eventually(lambda: installation.count("contentchunk") == pieces, 30, "the other chunks being gone")


def test_a_mail_whose_250_was_lost_with_its_process_is_stored_once(installation):
    relay = installation.relay().start(FAILPOINT="reply.before")
    with hand_in(relay.smtp_port, sent(1)) as talk:
        assert talk.reply() == ""
    first = installation.queue_ids()
    assert len(first) == 1

    other = installation.relay().start()

    assert [send(other, sent(1))] == first == installation.queue_ids()


@pytest.mark.parametrize(
    ("content", "mail_from", "recipients"),
    [
        (sent(1).replace(b"body", b"text"), "app@contoso.test", ("ann@example.org",)),
        (sent(1).replace(b"test-1@", b"test-2@"), "app@contoso.test", ("ann@example.org",)),
        (sent(1), "other@contoso.test", ("ann@example.org",)),
        (sent(1), "app@contoso.test", ("bob@example.org",)),
        (sent(1), "app@contoso.test", ("ann@example.org", "bob@example.org")),
    ],
    ids=["content", "message-id", "mail-from", "recipient", "more"],
)
def test_another_content_or_envelope_is_another_mail(installation, content, mail_from, recipients):
    relay = installation.relay().start()

    ids = [send(relay, sent(1)), send(relay, content, mail_from, *recipients)]

    assert sorted(ids) == installation.queue_ids()
    assert len(set(ids)) == 2
    assert installation.total("repeated") == 0


def test_the_order_of_recipients_and_the_spelling_of_addresses_make_no_other_mail(installation):
    relay = installation.relay().start()
    first = send(relay, sent(1), "app@contoso.test", "ann@example.org", "bob@example.org")
    assert send(relay, sent(1), "App@Contoso.test", "BOB@example.org", "ann@example.org") == first


def test_a_mail_without_a_message_id_of_its_own_may_be_meant_twice(installation):
    relay = installation.relay().start()
    content = b"From: app@contoso.test\r\nSubject: disk full\r\n\r\nx\r\n"
    assert send(relay, content) != send(relay, content)


def test_the_same_mail_of_another_client_is_another_mail(installation):
    relay = installation.relay().start()
    assert send(relay, sent(1)) != send(relay, sent(1), source="127.0.0.2")


def test_what_failed_or_was_cancelled_is_taken_anew(installation):
    relay = installation.relay().start()
    ids = []
    for state in ("failed", "cancelled", "sent"):
        ids.append(send(relay, sent(1)))
        installation.execute("UPDATE mailrelay_message SET state = %s WHERE state = 'queued'", state)
    assert len(set(ids)) == 3
    assert send(relay, sent(1)) == ids[2]


def test_after_the_minutes_of_the_setting_it_is_another_mail(installation):
    relay = installation.relay(SMTP_REPEAT_MINUTES="2").start()
    first = send(relay, sent(1))
    earlier = {"sqlite": "strftime('%Y-%m-%d %H:%M:%f', created_at, '-130 seconds')"}.get(
        installation.vendor, "created_at - interval '130 seconds'"
    )
    installation.execute(f"UPDATE mailrelay_message SET created_at = {earlier}")
    second = send(relay, sent(1))
    assert second != first
    assert send(relay, sent(1)) == second


def test_a_client_may_have_it_off(installation):
    installation.execute(
        "INSERT INTO mailrelay_smtpclient (name, networks, login, password_hash, allowed_from, "
        "allowed_recipients, max_message_size, messages_per_minute, max_connections, active, default_domain, "
        "aliases, repeat_minutes) VALUES ('lab', '127.0.0.2', '', '', '', '', 0, 0, 0, true, '', '{}', 0)"
    )
    relay = installation.relay().start()
    assert send(relay, sent(1), source="127.0.0.2") != send(relay, sent(1), source="127.0.0.2")
    assert send(relay, sent(1)) == send(relay, sent(1))


def test_two_transmissions_that_wait_for_one_commit_are_one_mail(installation):
    relay = installation.relay().start()

    replies = hand_in_together(installation, relay, [sent(1), sent(2), sent(1), sent(1)])

    ids = [queue_id_of(reply) for reply in replies]
    assert len(set(ids)) == 2 and ids[0] == ids[2] == ids[3]
    assert sorted(set(ids)) == installation.queue_ids()
    assert installation.total("repeated") == 2
    assert len(timeline(installation, ids[0])) == 2


def test_two_relays_that_take_a_mail_at_the_same_time_store_it_once(on_postgresql):
    relays = [on_postgresql.relay(DATA_DIR=str(on_postgresql.folder / name)).start() for name in "ab"]
    talks = []
    with on_postgresql.locked():
        for number, relay in enumerate(relays):
            talks += [hand_in(relay.smtp_port, sent(text)) for text in ((1, 2), (2, 1))[number]]
            wait_until_all_are_submitted(relay, 2)
    ids = [queue_id_of(talk.reply()) for talk in talks]
    for talk in talks:
        talk.close()
    assert (ids[0], ids[1]) == (ids[3], ids[2])
    assert sorted(set(ids)) == on_postgresql.queue_ids()


def test_a_mail_that_is_taken_back_is_not_the_first_of_a_repetition(installation):
    """The client of a commit without an outcome is told 451; what it sends then must not be lost with it."""
    relay = installation.relay().start()
    with hand_in(relay.smtp_port, sent(1)) as talk:
        queue_id_of(talk.reply())
    with installation.locked():
        late = hand_in(relay.smtp_port, sent(2))
        assert late.reply().startswith("451 ")
        late.close()
    wait_until_mail_is_taken(relay)
    second = send(relay, sent(2))
    eventually(lambda: relay.metrics().get("graph_smtp_storage_stalled", 0) == 0, 30, "the end of it")
    assert second in installation.queue_ids()
    assert installation.content(second) == sent(2)


def test_a_message_that_was_sent_again_is_not_taken_back(installation):
    relay = installation.relay().start()
    first = send(relay, sent(1))
    send(relay, sent(1))
    code = (
        "from uuid import UUID; from django.db import transaction\n"
        "from mailrelay.outbox.accepting import outage\n"
        f"with transaction.atomic(): print(outage._withdraw(UUID('{first}')))"
    )
    from tests.harness.processes import manage

    assert "False" in manage(installation.environment, "shell", "--no-imports", "-c", code).stdout
    assert installation.queue_ids() == [first]


def test_a_client_that_gives_one_message_id_to_other_contents_is_noted(installation):
    relay = installation.relay().start()
    ids = [send(relay, sent(1).replace(b"body", b"page %d" % number)) for number in range(3)]
    split = send(relay, sent(9))
    part = send(relay, sent(9), "app@contoso.test", "bob@example.org")
    elsewhere = send(relay, sent(1), source="127.0.0.2")

    assert sorted({*ids, split, part, elsewhere}) == installation.queue_ids()
    assert [len(timeline(installation, one)) for one in (*ids, split, part, elsewhere)] == [0, 1, 1, 0, 0, 0]
    assert ids[0] in timeline(installation, ids[1])[0] and ids[1] in timeline(installation, ids[2])[0]
    assert installation.total("message_ids_reused") == 2
    eventually(lambda: relay.metrics().get("graph_smtp_message_ids_reused_total") == 2, 30, "the total")


def test_a_hundred_repetitions_are_counted_and_the_first_of_them_told(installation):
    relay = installation.relay().start()
    with Talk(relay.smtp_port) as talk:
        replies = {talk.mail(sent(1), "app@contoso.test", "ann@example.org") for _ in range(40)}
    (reply,) = replies
    assert installation.rows("SELECT repeats FROM mailrelay_message") == [(39,)]
    assert len(timeline(installation, queue_id_of(reply))) == duplicates.TOLD


def test_many_clients_that_repeat_at_once_get_their_own_ids(installation):
    relay = installation.relay().start()
    found: dict[int, set[str]] = {number: set() for number in range(4)}

    def run(number: int) -> None:
        with Talk(relay.smtp_port) as talk:
            for _ in range(10):
                found[number % 4].add(talk.mail(sent(number % 4), "app@contoso.test", "ann@example.org"))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(replies) for replies in found.values()] == [1] * 4
    assert len(installation.queue_ids()) == 4


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<test-1@app.test>", b"<>"),
        (b"<test-1@app.test>", b"<@>"),
        (b"<test-1@app.test>", b"(none)"),
        (b"<test-1@app.test>", b"<device>"),
        (b"Date: Tue, 1 Dec 2026 08:00:00 +0000\r\n", b""),
        (b"Date: Tue, 1 Dec 2026 08:00:00 +0000\r\n", b"Date: \r\n"),
    ],
)
def test_a_mail_that_does_not_name_itself_is_always_new(installation, old, new):
    relay = installation.relay().start()
    content = sent(1).replace(old, new)

    ids = [send(relay, content) for _ in range(2)]

    assert len(set(ids)) == 2
    assert installation.total("repeated") == 0


def write(installation, statement: str) -> None:
    """Change rows as time or a worker would have."""
    if "DATABASE_URL" in installation.environment:
        installation.execute(statement)
        return
    path = Path(installation.environment["DATA_DIR"]) / "gateway.sqlite3"
    with closing(sqlite3.connect(path, timeout=30)) as connection, connection:
        connection.execute(statement)


@pytest.mark.parametrize(("part", "repeated"), [("sent", 1), ("failed", 0)])
def test_a_mail_that_failed_for_some_recipients_is_not_sent_to_the_others_again(installation, part, repeated):
    relay = installation.relay().start()
    first = send(relay, sent(1))
    write(installation, "UPDATE mailrelay_message SET state = 'failed'")
    write(installation, f"UPDATE mailrelay_delivery SET state = '{part}'")

    again = send(relay, sent(1))

    assert (again == first) == bool(repeated)
    assert installation.total("repeated") == repeated


def test_what_a_clock_that_was_ahead_stored_is_the_first_of_no_repetition(installation):
    relay = installation.relay().start()
    first = send(relay, sent(1))
    write(installation, "UPDATE mailrelay_message SET created_at = '2099-01-01 00:00:00+00:00'")

    assert send(relay, sent(1)) != first
