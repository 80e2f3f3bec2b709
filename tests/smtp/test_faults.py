"""Our own trouble is 4xx, says nothing of its inside, and leaves nothing half-stored."""

import contextlib
import errno
import socket
import struct
import threading
from pathlib import Path

import pytest

from mailrelay.outbox.errors import OutboxError, StorageFullError
from mailrelay.smtp.context import THREADS
from mailrelay.smtp.spool import MEMORY_LIMIT
from tests.smtp.smtp_server import eventually

MAIL = b"From: a@example.org\r\n\r\nhello\r\n"
SECRET = "db host=10.1.2.3 password=hunter2"


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (OutboxError(SECRET), "451 4.3.0 "),
        (RuntimeError(SECRET), "451 4.3.0 "),
        (StorageFullError(SECRET), "452 4.3.1 "),
        (OSError(errno.EROFS, SECRET), "451 4.3.0 "),
    ],
)
@pytest.mark.parametrize("where", ["failure", "outcome"])
def test_a_failed_commit_is_4xx_without_detail_and_the_session_goes_on(smtp_server, error, reply, where):
    setattr(smtp_server.queue, where, error)
    with smtp_server.connect() as talk:
        said = talk.mail(MAIL)
        assert said.startswith(reply) and "hunter2" not in said
        setattr(smtp_server.queue, where, None)
        assert talk.mail(MAIL).startswith("250 ")


def test_a_fault_of_ours_in_a_command_is_451_with_a_reference_that_the_log_has(smtp_server, caplog):
    smtp_server.directory_failure = RuntimeError(SECRET)
    with smtp_server.connect() as talk:
        said = talk.say("EHLO x", "MAIL FROM:<a@example.org>")
        assert said.startswith("451 4.3.0 ") and "hunter2" not in said
        reference = said.rpartition("reference ")[2].rstrip(")\r\n")
        smtp_server.directory_failure = None
        assert talk.mail(MAIL).startswith("250 ")
    assert any(reference in record.getMessage() for record in caplog.records)


def test_after_a_fault_within_data_the_rest_of_the_mail_is_no_commands(smtp_server, monkeypatch):
    def no_thread(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("mailrelay.smtp.spool.Spool._write_out", no_thread)
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(MAIL + b"x" * MEMORY_LIMIT)
        assert talk.reply().startswith("421 4.3.0 ")
        assert talk.at_end()
    assert smtp_server.service._context.budget._used == 0


def test_after_a_fault_before_a_chunk_the_chunk_is_no_commands(smtp_server):
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>")
        smtp_server.directory_failure = RuntimeError(SECRET)
        chunk = b"NOOP\r\nQUIT\r\n"
        talk.send(b"BDAT %d LAST\r\n" % len(chunk) + chunk)
        assert talk.reply().startswith("421 4.3.0 ")
        assert talk.at_end()


def test_a_fault_while_a_mail_is_examined_is_451_and_resets_the_transaction(smtp_server):
    with smtp_server.connect() as talk:
        talk.begin()
        smtp_server.directory_failure = RuntimeError(SECRET)
        talk.send(MAIL + b".\r\n")
        assert talk.reply().startswith("451 4.3.0 ")
        smtp_server.directory_failure = None
        assert talk.say("DATA").startswith("503 ")
        assert talk.say("MAIL FROM:<a@example.org>").startswith("250 ")


def test_a_commit_without_an_outcome_is_451_and_disowned(open_smtp_server):
    smtp_server = open_smtp_server(accept_seconds=0.2)
    smtp_server.queue.hold = True
    with smtp_server.connect() as talk:
        assert talk.mail(MAIL).startswith("451 4.3.0 ")
    assert smtp_server.queue.disowned == [smtp_server.queue.last.id]


def test_a_commit_that_ends_in_the_very_moment_of_giving_up_is_250(open_smtp_server, monkeypatch):
    smtp_server = open_smtp_server(accept_seconds=0.2)
    smtp_server.queue.hold = True
    disown = smtp_server.queue.disown

    def too_late(queue_id, outcome):
        outcome.set_result(None)
        return disown(queue_id, outcome)

    monkeypatch.setattr(smtp_server.queue, "disown", too_late)
    with smtp_server.connect() as talk:
        assert talk.mail(MAIL).startswith("250 2.0.0 Ok: queued as ")


def test_a_stalled_queue_is_451_at_mail_before_anything_is_transferred(smtp_server):
    with smtp_server.connect() as talk:
        smtp_server.queue.stalled = True
        assert talk.say("EHLO x", "MAIL FROM:<a@example.org>").startswith("451 4.3.0 ")
        smtp_server.queue.stalled = False
        assert talk.mail(MAIL).startswith("250 ")


def test_a_stalled_queue_turns_new_connections_away_until_it_takes_mail_again(smtp_server):
    smtp_server.queue.stalled = True
    with smtp_server.connect(greeting=False) as talk:
        assert talk.reply().startswith("421 4.3.2 ")
        assert talk.at_end()
    smtp_server.queue.stalled = False
    with smtp_server.connect() as talk:
        assert talk.mail(MAIL).startswith("250 ")


def test_a_cancelled_commit_is_451(smtp_server):
    smtp_server.queue.hold = True
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(MAIL + b".\r\n")
        eventually(lambda: len(smtp_server.queue.waiting) == 1)
        assert smtp_server.queue.waiting[0].cancel()
        assert talk.reply().startswith("451 4.3.0 ")


def test_the_250_waits_for_the_commit(smtp_server):
    smtp_server.queue.hold = True
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(MAIL + b".\r\n")
        eventually(lambda: len(smtp_server.queue.waiting) == 1)
        talk.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            talk.socket.recv(1)
        talk.socket.settimeout(30)
        smtp_server.queue.waiting[0].set_result(None)
        assert talk.socket.recv(100).startswith(b"250 2.0.0 Ok: queued as ")


def test_a_client_that_half_closes_after_its_dot_still_gets_its_250(smtp_server):
    smtp_server.queue.hold = True
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(MAIL + b".\r\n")
        talk.socket.shutdown(socket.SHUT_WR)
        eventually(lambda: len(smtp_server.queue.waiting) == 1)
        smtp_server.queue.waiting[0].set_result(None)
        assert talk.reply().startswith("250 2.0.0 Ok: queued as ")
        assert talk.at_end()


def test_a_dialogue_sent_at_once_by_a_script_that_half_closes_is_carried_out(smtp_server):
    with smtp_server.connect() as talk:
        talk.send(
            b"HELO esx\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"
            + MAIL + b".\r\nQUIT\r\n"
        )  # fmt: skip
        talk.socket.shutdown(socket.SHUT_WR)
        assert [talk.reply()[:3] for _ in range(6)] == ["250", "250", "250", "354", "250", "221"]
    assert len(smtp_server.queue.mails) == 1


def test_a_commit_goes_on_when_the_client_is_reset(smtp_server):
    smtp_server.queue.hold = True
    with smtp_server.connect() as talk:
        talk.begin()
        talk.send(MAIL + b".\r\n")
        eventually(lambda: len(smtp_server.queue.waiting) == 1)
        talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        talk.file.close()
        talk.socket.close()
        eventually(lambda: not smtp_server.service.connections.open)
        assert not smtp_server.queue.waiting[0].cancelled()
        smtp_server.queue.waiting[0].set_result(None)
    assert smtp_server.queue.disowned == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_is_full_is_452_after_the_dot_and_the_session_goes_on(smtp_server, monkeypatch):
    # /dev/full fails each write with ENOSPC, as a full disk does.
    def full(**_):
        return Path("/dev/full").open("r+b", buffering=0)

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with smtp_server.connect() as talk:
        assert talk.mail(MAIL + b"x" * 2_000_000 + b"\r\n").startswith("452 4.3.1 ")
        assert talk.mail(MAIL).startswith("250 ")


def test_a_spool_that_cannot_be_written_is_451(smtp_server, monkeypatch):
    def broken(**_):
        raise OSError(errno.EIO, SECRET)

    monkeypatch.setattr("tempfile.TemporaryFile", broken)
    with smtp_server.connect() as talk:
        said = talk.mail(MAIL + b"x" * 2_000_000 + b"\r\n")
    assert said.startswith("451 4.3.0 ") and "hunter2" not in said


def test_refusals_are_logged_with_client_code_rule_and_address(smtp_server, caplog):
    caplog.set_level("INFO")
    with smtp_server.connect() as talk:
        talk.say("EHLO x", "MAIL FROM:<a@example.org>", "RCPT TO:<nobody>")
    lines = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert len(lines) == 1
    assert lines[0].startswith(
        "refused: client=127.0.0.1 (SMTP_ALLOWED_NETWORKS) reply=553 rule=address: 5.1.3 <nobody> has no"
    )


def test_accepted_mail_is_logged_once_and_names_nobody(smtp_server, caplog):
    caplog.set_level("INFO")
    with smtp_server.connect() as talk:
        talk.mail(b"From: a@example.org\r\nSubject: private\r\n\r\nx\r\n")
    lines = [record.getMessage() for record in caplog.records]
    accepted = [line for line in lines if line.startswith("accepted: ")]
    assert (
        len(accepted) == 1 and f"id={smtp_server.queue.last.id.hex} client=127.0.0.1 reply=250" in accepted[0]
    )
    assert not any("@" in line or "private" in line for line in lines)


def test_an_examination_that_finds_no_thread_is_451_in_time(open_smtp_server):
    smtp_server = open_smtp_server(accept_seconds=0.2)
    release = threading.Event()
    executor = smtp_server.service._context.executor
    blocked = [executor.submit(release.wait) for _ in range(THREADS)]
    try:
        with smtp_server.connect() as talk:
            large_header = b"From: a@example.org\r\n" + (b"X: " + b"y" * 70 + b"\r\n") * 400
            assert talk.mail(large_header + b"\r\nx\r\n").startswith("451 4.3.0 ")
    finally:
        release.set()
    assert all(future.result() for future in blocked) and smtp_server.queue.mails == []


def test_a_late_commit_after_its_451_harms_nobody(open_smtp_server):
    smtp_server = open_smtp_server(accept_seconds=0.1)
    smtp_server.queue.hold = True
    with smtp_server.connect() as talk:
        assert talk.mail(MAIL).startswith("451 4.3.0 ")
        smtp_server.queue.waiting[0].set_result(None)
        smtp_server.queue.hold = False
        assert talk.mail(MAIL).startswith("250 ")


def test_commits_that_end_together_answer_all_their_clients(smtp_server):
    smtp_server.queue.hold = True
    with contextlib.ExitStack() as stack:
        talks = [stack.enter_context(smtp_server.connect()) for _ in range(20)]
        for talk in talks:
            talk.begin()
            talk.send(MAIL + b".\r\n")
        eventually(lambda: len(smtp_server.queue.waiting) == 20)
        for future in smtp_server.queue.waiting:
            future.set_result(None)
        replies = [talk.reply() for talk in talks]
    assert {reply[-34:-2] for reply in replies} == {mail.id.hex for mail, _ in smtp_server.queue.mails}
