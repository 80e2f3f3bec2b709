"""Many at once: idle, slow, guessing, or all with large mail; well-behaved clients are served meanwhile."""

import resource
import select
import smtplib
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.abuse.conftest import ACCEPTED, target_in
from tests.harness.ports import eventually
from tests.harness.processes import ROOT, as_sent, manage, rows, send
from tests.large.mails import another, with_files
from tests.smtp.smtp_server import Talk, second_loopback

MIB = 2**20
CROWD = 5000


@pytest.fixture
def many_files():
    """Allow as many open files as the crowd needs, here and in the listener that is started after it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < CROWD + 1000:
        pytest.skip(f"no process may open more than {hard} files here (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (CROWD + 1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def crowd(port: int, number: int, each: int = 50) -> list[socket.socket]:
    """Connect `number` times, at most `each` from one address of this machine."""
    return [
        socket.create_connection(("127.0.0.1", port), 60, source_address=(f"127.0.9.{n // each + 1}", 0))
        for n in range(number)
    ]


def greetings(sockets: list[socket.socket]) -> int:
    """Read what each was told first; how many were greeted."""
    for each in sockets:
        each.settimeout(60)
    return sum(_first(each).startswith(b"220 ") for each in sockets)


def _first(each: socket.socket) -> bytes:
    try:
        return each.recv(512)
    except ConnectionResetError:
        return b""


def served(port: int, source: str = "127.0.0.1") -> float:
    """Send a mail as a client that means well; the seconds that it took."""
    began = time.monotonic()
    with Talk(port, source=source) as talk:
        talk.begin("app@contoso.test", "ann@example.org")
        assert ACCEPTED.match(talk.say(b"From: app@contoso.test\r\n\r\nhello\r\n.\r\n"))
    return time.monotonic() - began


def resident(process) -> int:
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) * 1024


def peak(process) -> int:
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024


@second_loopback
def test_five_thousand_idle_connections_do_not_keep_a_good_client_out(tmp_path, many_files):
    with target_in(tmp_path / "target", SMTP_MAX_CONNECTIONS=str(CROWD + 500)) as relay:
        served(relay.smtp_port)
        before = resident(relay)
        idle = crowd(relay.smtp_port, CROWD)
        assert greetings(idle) == CROWD
        each = (resident(relay) - before) / CROWD
        took = served(relay.smtp_port)
        print(f"{CROWD} idle connections: {each / 1024:.1f} KiB each; a mail meanwhile took {took:.2f} s")
        assert each < 16 * 1024
        for one in idle:
            one.close()
        eventually(lambda: relay.metrics()["graph_smtp_connections"] == 0, what="all being counted out")
        relay.check()


@second_loopback
def test_over_the_cap_the_idle_make_room_for_a_good_client(tmp_path, many_files):
    with target_in(tmp_path / "target", SMTP_MAX_CONNECTIONS="200") as relay:
        idle = crowd(relay.smtp_port, 400)
        assert greetings(idle) == 200
        eventually(lambda: _gets_in(relay.smtp_port), what="a good client being served")
        for one in idle:
            one.close()
        relay.check()


def _gets_in(port: int) -> bool:
    try:
        return served(port) > 0
    except (AssertionError, ConnectionError):
        return False


def test_clients_that_drip_are_let_go_and_hold_nobody_up(tmp_path):
    with target_in(
        tmp_path / "target", SMTP_IDLE_SECONDS="3", SMTP_MAX_CONNECTIONS_PER_CLIENT="300"
    ) as relay:
        slow = [Talk(relay.smtp_port) for _ in range(150)]
        waiting = {talk.socket: talk for talk in slow}
        while waiting:
            served(relay.smtp_port)
            for one in select.select(list(waiting), [], [], 0.1)[0]:
                assert waiting.pop(one).reply().startswith("421 4.4.2 ")
            for one in waiting:
                try:
                    one.send(b"E")
                except OSError:
                    continue  # its 421 is still to be read
        for talk in slow:
            talk.close()
        relay.check()


@second_loopback
def test_guessing_passwords_is_slow_and_locks_out_nobody_else(tmp_path):
    relay = target_in(tmp_path / "target")
    relay.environment["SMTP_LISTENERS"] += "?cleartext_auth=on"
    manage(relay.environment, "smtpclient", "add", "Printer", "--login", "printer")
    password = "correct horse battery"
    subprocess.run(
        [sys.executable, "manage.py", "smtpclient", "password", "Printer", "--stdin"],
        cwd=ROOT,
        env=relay.environment,
        input=password + "\n",
        text=True,
        check=True,
        capture_output=True,
    )
    with relay:
        eventually(lambda: _logs_in(relay.smtp_port, "127.0.0.4", password), what="the login being known")

        def guess(number: int) -> list[int]:
            with smtplib.SMTP("127.0.0.1", relay.smtp_port, source_address=("127.0.0.2", 0)) as client:
                client.ehlo()
                client.user, client.password = "printer", f"guess {number}"
                codes = []
                while len(codes) < 10:
                    try:
                        client.auth("PLAIN", client.auth_plain)
                    except smtplib.SMTPAuthenticationError as refused:
                        codes.append(refused.smtp_code)
                    except smtplib.SMTPServerDisconnected:
                        break
                return codes

        with ThreadPoolExecutor(10) as pool:
            guesses = [pool.submit(guess, n) for n in range(10)]
            while not all(each.done() for each in guesses):
                served(relay.smtp_port, "127.0.0.3")
                assert _logs_in(relay.smtp_port, "127.0.0.4", password)
        codes = [each.result() for each in guesses]
        assert max(map(len, codes)) <= 4  # three, and the 421 that ends the session
        assert sum(code == 535 for each in codes for code in each) <= 6
        assert not _logs_in(relay.smtp_port, "127.0.0.2", password)
        relay.check()


def _logs_in(port: int, source: str, password: str) -> bool:
    with smtplib.SMTP("127.0.0.1", port, source_address=(source, 0)) as client:
        try:
            client.login("printer", password)
        except smtplib.SMTPAuthenticationError:
            return False
    return True


@pytest.mark.parametrize(
    "field", [b"a:\r\n", b"Received: x\r\n", b"Bcc: a@b.c\r\n", b"To: a@b.c,\r\n\tb@b.c\r\n"]
)
def test_a_hundred_thousand_headers_are_refused_and_hold_nobody_up(target, field):
    with target.talk() as heavy:
        heavy.begin("app@contoso.test", "ann@example.org")
        heavy.send(b"From: app@contoso.test\r\n" + field * 100_000 + b"\r\nx\r\n.\r\n")
        served(target.smtp_port)
        assert heavy.reply()[:4] in {"552 ", "554 "}
        assert heavy.say("NOOP").startswith("250 ")


@pytest.mark.parametrize("number", [6, pytest.param(50, marks=[pytest.mark.soak, pytest.mark.timeout(1200)])])
def test_large_mail_of_many_at_once_stays_within_128_mib(embedded, number):
    """The whole of `rungateway`; a client that the budget of bytes refuses comes again, and is taken."""
    from sandbox import world

    embedded.environment |= {
        "AZURE_CLIENT_ID": world.SECOND_CLIENT,  # it may write drafts, so that large mail is taken
        "AZURE_CLIENT_SECRET": "sandbox-secret-2",
    }
    gateway = embedded.start()
    data = as_sent(with_files([7 * MIB]))  # 10 MB as MIME

    def insist(client: int) -> int:
        mail = another(data, client)
        for tries in range(1, 1000):
            try:
                send(gateway.smtp_port, mail, timeout=300)
            except smtplib.SMTPDataError as error:
                if error.smtp_code >= 500:
                    raise
                time.sleep(0.2)
            else:
                return tries
        raise AssertionError("was refused for ever")

    with ThreadPoolExecutor(number) as pool:
        tries = list(pool.map(insist, range(number)))

    ((count,),) = rows(embedded.environment, "SELECT COUNT(*) FROM mailrelay_message")
    print(f"{number} clients with 10 MB at once: peak {peak(gateway) / MIB:.0f} MiB, {sum(tries)} tries")
    assert count == number
    assert peak(gateway) < 128 * MIB
