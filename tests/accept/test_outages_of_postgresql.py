"""PostgreSQL stopped, frozen, read-only, cut off or lost in a commit: 451 in time, and one truth after it."""

import signal
import threading
import time
from contextlib import contextmanager

import pytest

from tests.accept.installation import (
    deliver,
    frozen,
    greeting_of,
    hand_in,
    queue_id_of,
    reply_in_time,
    sent,
    wait_until_mail_is_taken,
)
from tests.harness.ports import eventually


def database_check(relay) -> str:
    return relay.ready()["checks"]["database"]


def test_a_stopped_server_is_451_and_not_ready_until_it_is_back(on_postgresql):
    relay = on_postgresql.relay().start()
    before = queue_id_of(deliver(relay.smtp_port, sent(1)))

    on_postgresql.server.end()
    try:
        with hand_in(relay.smtp_port, sent(2)) as talk:
            assert reply_in_time(talk).startswith("451 4.3.0 ")
        eventually(lambda: database_check(relay) != "ok", 60, "readiness seeing it")
        assert relay.get("/ready") == 503
    finally:
        on_postgresql.server.start()

    after = wait_until_mail_is_taken(relay)
    eventually(lambda: database_check(relay) == "ok", 60, "readiness seeing it back")
    assert on_postgresql.queue_ids() == sorted([before, after])


def test_a_frozen_server_is_451_in_time_and_what_follows_is_turned_away_at_once(on_postgresql):
    relay = on_postgresql.relay().start()
    queue_id_of(deliver(relay.smtp_port, sent(1)))

    with frozen(on_postgresql.server):
        small, large = hand_in(relay.smtp_port, sent(2)), hand_in(relay.smtp_port, sent(3, 600_000))
        assert reply_in_time(small).startswith("451 4.3.0 ")
        assert reply_in_time(large).startswith("451 4.3.0 ")
        assert relay.metrics()["graph_smtp_storage_stalled"] == 1
        assert small.say("MAIL FROM:<app@contoso.test>").startswith("451 4.3.0 ")
        assert greeting_of(relay).startswith("421 4.3.2 ")
        eventually(lambda: relay.get("/ready") == 503, 60, "readiness seeing it")

    wait_until_mail_is_taken(relay)
    assert relay.metrics()["graph_smtp_storage_stalled"] == 0
    eventually(lambda: on_postgresql.count("message") == 2, 30, "the disowned being gone")
    eventually(lambda: on_postgresql.count("contentchunk") == 2, 30, "their content being gone")
    for talk in (small, large):
        talk.close()


def test_a_lock_that_lasts_is_451_in_time_and_probes_answer_all_the_while(on_postgresql):
    relay = on_postgresql.relay().start()
    queue_id_of(deliver(relay.smtp_port, sent(1)))

    with on_postgresql.locked(), hand_in(relay.smtp_port, sent(2)) as talk:
        assert reply_in_time(talk).startswith("451 4.3.0 ")
        assert relay.get("/health") == 200

    wait_until_mail_is_taken(relay)
    eventually(lambda: on_postgresql.count("message") == 2, 30, "the disowned being gone")


def test_a_server_without_a_free_connection_is_451_and_recovers_alone(on_postgresql):
    relay = on_postgresql.relay().start()
    queue_id_of(deliver(relay.smtp_port, sent(1)))

    with on_postgresql.full(), hand_in(relay.smtp_port, sent(2)) as talk:
        assert reply_in_time(talk).startswith("451 4.3.0 ")

    wait_until_mail_is_taken(relay)
    assert on_postgresql.count("message") == 2


@contextmanager
def commits_waiting(installation):
    """Let commits be written, but not be answered: they wait for a standby that there is not."""
    installation.configure("synchronous_standby_names", "nobody")
    shown = lambda: installation.rows("SHOW synchronous_standby_names")[0][0]
    eventually(lambda: shown() == "nobody", 30, "the setting")
    try:
        yield
    finally:
        installation.configure("synchronous_standby_names", "")
        eventually(lambda: shown() == "", 30, "the setting's end")


def waiting_commits(installation) -> int:
    return installation.rows(
        "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database()"
    )[0][0]


def test_a_commit_that_comes_after_the_451_is_taken_back_and_counted(on_postgresql):
    relay = on_postgresql.relay().start()
    queue_id_of(deliver(relay.smtp_port, sent(1)))

    with commits_waiting(on_postgresql), hand_in(relay.smtp_port, sent(2)) as talk:
        eventually(lambda: waiting_commits(on_postgresql) >= 1, 30, "the commit")
        assert reply_in_time(talk).startswith("451 4.3.0 ")

    eventually(lambda: on_postgresql.total("disowned") == 1, 30, "it being taken back")
    after = wait_until_mail_is_taken(relay)
    assert on_postgresql.count("message") == on_postgresql.count("delivery") == 2
    assert after in on_postgresql.queue_ids()


def test_a_connection_that_is_lost_in_its_commit_is_asked_again_and_stored_once(on_postgresql):
    relay = on_postgresql.relay().start()
    queue_id_of(deliver(relay.smtp_port, sent(1)))

    with commits_waiting(on_postgresql), hand_in(relay.smtp_port, sent(2)) as talk:
        eventually(lambda: waiting_commits(on_postgresql) >= 1, 30, "the commit")
        on_postgresql.cut_connections()
        reply = reply_in_time(talk)

    queue_id = queue_id_of(reply)
    assert on_postgresql.queue_ids().count(queue_id) == 1
    assert on_postgresql.count("message") == on_postgresql.count("contentchunk") == 2
    assert on_postgresql.total("accepted") == 2


def test_a_read_only_server_is_451_and_not_ready_until_it_takes_writes(on_postgresql):
    relay = on_postgresql.relay().start()
    queue_id_of(deliver(relay.smtp_port, sent(1)))

    on_postgresql.make_read_only()
    eventually(lambda: "read-only" in database_check(relay), 60, "readiness seeing it")
    for size in (0, 600_000):
        with hand_in(relay.smtp_port, sent(2, size)) as talk:
            assert reply_in_time(talk).startswith("451 4.3.0 ")
    on_postgresql.make_read_only(False)

    wait_until_mail_is_taken(relay)
    assert on_postgresql.count("message") == on_postgresql.count("contentchunk") == 2


class Clients:
    """Applications that send one mail after the other, and note the id of each that got its 250."""

    def __init__(self, port: int, number: int) -> None:
        self.port = port
        self.stopping = threading.Event()
        self.taken: list[str] = []
        self.wrong: list[str] = []
        self._threads = [threading.Thread(target=self._run, args=(each,)) for each in range(number)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, number: int) -> None:
        while not self.stopping.is_set():
            try:
                self._send_one(sent(time.monotonic_ns(), 600_000 if number == 0 else 0))
            except (OSError, AssertionError):
                self.stopping.wait(0.05)

    def _send_one(self, content: bytes) -> None:
        with hand_in(self.port, content) as talk:
            reply = talk.reply()
        if reply.startswith("250"):
            self.taken.append(reply.split()[-1])
        elif not reply.startswith("4"):
            self.wrong.append(reply)


@pytest.mark.parametrize("fault", ["cut_connections", "crash"])
def test_what_got_its_250_is_there_whole_and_nothing_else_when_the_server_fails_under_load(
    on_postgresql, fault
):
    relay = on_postgresql.relay().start()

    with Clients(relay.smtp_port, 6) as clients:
        for _ in range(3):
            before = len(clients.taken)
            eventually(lambda before=before: len(clients.taken) >= before + 20, 60, "mail being taken")
            if fault == "crash":
                on_postgresql.server.end(signal.SIGQUIT)
                on_postgresql.server.start()
            else:
                on_postgresql.cut_connections()
        before = len(clients.taken)
        eventually(lambda: len(clients.taken) >= before + 20, 60, "mail being taken again")

    assert clients.wrong == []
    eventually(lambda: on_postgresql.queue_ids() == sorted(clients.taken), 30, "the rows of the 250s alone")
    wait_until_mail_is_taken(relay)
    assert on_postgresql.count("delivery") == on_postgresql.count("recipient") == len(clients.taken) + 1
    sizes = on_postgresql.rows(
        "SELECT m.size, (SELECT SUM(LENGTH(data)) FROM mailrelay_contentchunk c WHERE c.content = m.id) "
        "FROM mailrelay_message m"
    )
    assert all(size == stored for size, stored in sizes)
