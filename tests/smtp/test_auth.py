"""AUTH: who may log in, how clients of every age say it, and what guessing costs."""

import base64
import smtplib
from dataclasses import replace
from ipaddress import ip_network

import pytest

from mailrelay.routing import passwords
from mailrelay.routing.table import Client, RoutingTable
from mailrelay.smtp import failures
from tests.smtp.certificates import trusting, write_certificate
from tests.smtp.smtp_server import LOOPBACK, SENDER, Address, second_loopback

MAIL = b"From: a@example.org\r\n\r\nhello\r\n"
PASSWORD = "correct horse"
HASH = passwords.make(PASSWORD)
PRINTER = Client(7, "Printer", (), login="printer", password_hash=HASH)


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


PLAIN = b64(f"\0printer\0{PASSWORD}")


@pytest.fixture
def auth_door(open_smtp_server):
    """Open a door that takes logins without TLS, and mail of the printer alone."""

    def start(*clients, listener=None, **options):
        routing = RoutingTable((SENDER,), clients or (PRINTER,))
        return open_smtp_server(routing, listener=listener or Address(cleartext_auth=True), **options)

    return start


def guess(smtp_server, login="printer", password="wrong", **options):
    with smtp_server.connect(**options) as talk:
        return talk.say("EHLO x", f"AUTH PLAIN {b64(f'{chr(0)}{login}{chr(0)}{password}')}")


def test_plain_comes_before_login_and_nothing_else_is_offered(auth_door):
    with auth_door().connect() as talk:
        assert "250-AUTH PLAIN LOGIN\r\n" in talk.say("EHLO x")


@pytest.mark.parametrize(
    "lines",
    [
        [f"AUTH PLAIN {PLAIN}"],
        [f"auth plain {PLAIN.rstrip('=')}"],
        ["AUTH PLAIN", PLAIN],
        ["AUTH LOGIN", b64("printer"), b64(PASSWORD)],
        [f"AUTH login {b64('printer')}", b64(PASSWORD)],
        [f"AUTH LOGIN {b64('Printer').rstrip('=')}", b64(PASSWORD).rstrip("=")],
        [f"AUTH PLAIN {b64(f'printer{chr(0)}printer{chr(0)}{PASSWORD}')}"],
    ],
)
def test_a_login_is_taken_however_it_is_said(auth_door, lines):
    smtp_server = auth_door()
    with smtp_server.connect() as talk:
        talk.say("EHLO x")
        assert talk.say(*lines).startswith("235 2.7.0 ")
        assert talk.mail(MAIL).startswith("250 ")
    assert smtp_server.queue.last.client_id == 7
    assert smtp_server.queue.last.client_key == "Printer"
    assert b" with ESMTPA id " in smtp_server.queue.mails[-1][1]


def test_the_challenges_of_login_are_the_words_that_go_clients_insist_on(auth_door):
    with auth_door().connect() as talk:
        assert talk.say("EHLO x", "AUTH LOGIN") == f"334 {b64('Username:')}\r\n"
        assert talk.say(b64("printer")) == f"334 {b64('Password:')}\r\n"


def test_a_login_over_tls_by_smtplib(open_smtp_server, tmp_path):
    files = write_certificate(tmp_path)
    routing = RoutingTable((SENDER,), (PRINTER,))
    smtp_server = open_smtp_server(routing, listener=Address(), tls_certificate=files[0], tls_key=files[1])
    with smtplib.SMTP("localhost", smtp_server.port, timeout=30) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        client.starttls(context=trusting(files[0]))
        client.login("printer", PASSWORD)
        client.sendmail("a@example.org", ["b@example.net"], MAIL)
    assert b" with ESMTPSA id " in smtp_server.queue.mails[-1][1]


def test_without_tls_a_login_is_neither_offered_nor_taken(auth_door):
    with auth_door(listener=Address()).connect() as talk:
        assert "AUTH" not in talk.say("EHLO x")
        assert talk.say(f"AUTH PLAIN {PLAIN}").startswith("538 5.7.11 ")


def test_a_listener_may_take_no_logins(auth_door):
    with auth_door(listener=Address(auth="off", cleartext_auth=True)).connect() as talk:
        assert "AUTH" not in talk.say("EHLO x")
        assert talk.say(f"AUTH PLAIN {PLAIN}").startswith("503 5.5.1 ")


def test_a_listener_may_insist_on_a_login(auth_door):
    smtp_server = auth_door(PRINTER, LOOPBACK, listener=Address(auth="required", cleartext_auth=True))
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", "MAIL FROM:<a@example.org>").startswith("530 5.7.0 ")
        assert talk.say(f"AUTH PLAIN {PLAIN}").startswith("235 ")
        assert talk.mail(MAIL).startswith("250 ")


def test_a_client_that_has_a_login_is_not_known_by_its_network_alone(auth_door):
    smtp_server = auth_door(replace(PRINTER, networks=LOOPBACK.networks))
    with smtp_server.connect() as talk:
        reply = talk.say("EHLO x", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>")
        assert reply.startswith("550 5.7.1 Client 127.0.0.1 ") and "log in" in reply
        assert talk.say("RSET", f"AUTH PLAIN {PLAIN}").startswith("235 ")


def test_a_login_counts_only_from_the_networks_of_the_client(auth_door):
    smtp_server = auth_door(replace(PRINTER, networks=(ip_network("192.0.2.0/24"),)))
    assert guess(smtp_server, password=PASSWORD).startswith("535 5.7.8 ")


@pytest.mark.parametrize(
    ("lines", "reply"),
    [
        (["AUTH CRAM-MD5"], "504 5.5.4 "),
        (["AUTH"], "504 5.5.4 "),
        (["AUTH PLAIN !!!"], "501 5.5.2 "),
        (["AUTH PLAIN ="], "501 5.5.2 "),
        ([f"AUTH PLAIN {b64('printer')}"], "501 5.5.2 "),
        (["AUTH PLAIN", "*"], "501 5.7.0 "),
        (["AUTH LOGIN", b64("printer"), "*"], "501 5.7.0 "),
        (["AUTH PLAIN", "A" * 13_000], "500 5.5.2 "),
        (["AUTH PLAIN", "A" * 200_000], "500 5.5.2 "),
        ([f"AUTH PLAIN {PLAIN}", f"AUTH PLAIN {PLAIN}"], "503 5.5.1 "),
        (["MAIL FROM:<a@example.org>", f"AUTH PLAIN {PLAIN}"], "503 5.5.1 "),
        ([f"AUTH PLAIN {b64(f'{chr(0)}printer{chr(0)}wrong')}"], "535 5.7.8 "),
        ([f"AUTH PLAIN {b64(f'{chr(0)}nobody{chr(0)}{PASSWORD}')}"], "535 5.7.8 "),
        ([f"AUTH PLAIN {b64(b'%c%b%c%b' % (0, bytes([255]), 0, bytes([254])))}"], "535 5.7.8 "),
    ],
)
def test_what_is_no_login_is_refused_and_the_session_goes_on(auth_door, lines, reply):
    with auth_door().connect() as talk:
        talk.say("EHLO x")
        assert talk.say(*lines).startswith(reply)
        assert talk.say("NOOP").startswith("250 ")


def test_three_failures_end_a_session(auth_door):
    with auth_door().connect() as talk:
        wrong = f"AUTH PLAIN {b64(f'{chr(0)}printer{chr(0)}wrong')}"
        assert talk.say("EHLO x", wrong, wrong).startswith("535 ")
        assert talk.say(wrong).startswith("535 ")
        assert talk.reply().startswith("421 4.7.0 ")
        assert talk.at_end()


def test_guesses_are_limited_before_the_hash_and_the_right_one_comes_too_late(auth_door, monkeypatch):
    smtp_server = auth_door()
    hashed = []
    monkeypatch.setattr(passwords, "matches", lambda *_: hashed.append(1) and False)
    replies = [guess(smtp_server) for _ in range(8)]
    assert [reply[:3] for reply in replies] == ["535"] * 5 + ["454"] * 3
    assert len(hashed) == 5
    assert guess(smtp_server, password=PASSWORD).startswith("454 4.7.0 ")


def test_a_login_that_succeeds_is_never_counted(auth_door):
    smtp_server = auth_door()
    for _ in range(40):
        assert guess(smtp_server, password=PASSWORD).startswith("235 ")


def test_another_client_at_the_same_address_is_not_locked_out_by_one_that_fails(auth_door):
    smtp_server = auth_door(PRINTER, replace(PRINTER, id=8, name="Scanner", login="scanner"))
    for _ in range(6):
        guess(smtp_server)
    assert guess(smtp_server, "scanner", PASSWORD).startswith("235 ")


def test_a_verified_login_is_remembered_and_forgotten_when_its_row_changes(auth_door, monkeypatch):
    smtp_server = auth_door()
    assert guess(smtp_server, password=PASSWORD).startswith("235 ")
    hashed = []
    monkeypatch.setattr(passwords, "matches", lambda *_: hashed.append(1) and False)
    assert guess(smtp_server, password=PASSWORD).startswith("235 ")
    assert not hashed
    smtp_server.routing = RoutingTable(
        (SENDER,), (replace(PRINTER, password_hash=passwords.make("new one")),)
    )
    assert guess(smtp_server, password=PASSWORD).startswith("535 ")
    assert hashed
    smtp_server.routing = RoutingTable((SENDER,), ())
    assert guess(smtp_server, password=PASSWORD).startswith("535 ")


def test_a_session_whose_password_is_changed_may_send_no_more(auth_door):
    smtp_server = auth_door()
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", f"AUTH PLAIN {PLAIN}").startswith("235 ")
        assert talk.mail(MAIL).startswith("250 ")
        smtp_server.routing = RoutingTable(
            (SENDER,), (replace(PRINTER, password_hash=passwords.make("new one")),)
        )
        assert talk.say("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>").startswith("550")


def test_networks_that_are_narrowed_hold_for_a_login_that_is_remembered_and_for_one_that_is_open(auth_door):
    here, elsewhere = ip_network("127.0.0.0/24"), ip_network("192.0.2.0/24")
    smtp_server = auth_door(replace(PRINTER, networks=(here,)))
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", f"AUTH PLAIN {PLAIN}").startswith("235 ")
        assert talk.mail(MAIL).startswith("250 ")
        smtp_server.routing = RoutingTable((SENDER,), (replace(PRINTER, networks=(elsewhere,)),))
        assert talk.say("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>").startswith("550 5.7.1 ")
    assert guess(smtp_server, password=PASSWORD).startswith("535 5.7.8 ")
    smtp_server.routing = RoutingTable((SENDER,), (replace(PRINTER, networks=(elsewhere, here)),))
    assert guess(smtp_server, password=PASSWORD).startswith("235 ")


@second_loopback
def test_guesses_from_where_a_client_may_not_log_in_do_not_lock_it_out(auth_door, monkeypatch):
    monkeypatch.setattr(failures, "LOGIN_LIMIT", 3.0)
    smtp_server = auth_door(replace(PRINTER, networks=(ip_network("127.0.0.1"),)))
    said = [guess(smtp_server, password="wrong", source="127.0.0.2")[:3] for _ in range(4)]
    assert (
        said
        == [guess(smtp_server, "nobody", source="127.0.0.3")[:3] for _ in range(4)]
        == ["535"] * 3 + ["454"]
    )
    assert guess(smtp_server, password=PASSWORD).startswith("235 ")


def test_neither_password_nor_an_unknown_name_reaches_the_log(auth_door, caplog):
    caplog.set_level("DEBUG")
    smtp_server = auth_door()
    guess(smtp_server, "s3cret-as-a-name", "s3cret-guess")
    guess(smtp_server, "printer", "s3cret-guess")
    text = caplog.text
    assert "login=printer" in text and "login=of nobody" in text
    assert "s3cret" not in text and b64(f"{chr(0)}printer{chr(0)}s3cret-guess") not in text


def test_a_hash_that_takes_more_memory_than_16_mib_is_not_computed():
    work, rest = "scrypt$16384$", HASH.partition("$")[2].partition("$")[2]
    assert passwords.matches(PASSWORD, work + rest)
    assert not passwords.usable("scrypt$131072$" + rest)
    assert not passwords.matches(PASSWORD, "scrypt$131072$" + rest)
    assert not passwords.matches(PASSWORD, "pbkdf2_sha256$1$salt$hash")
