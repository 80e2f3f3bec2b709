"""STARTTLS, implicit TLS, the legacy profile, and certificates that change under way."""

import smtplib
import socket
import ssl
import threading
import time
import warnings

import pytest
from prometheus_client import REGISTRY

from tests.smtp.certificates import DAYS, trusting, write_certificate
from tests.smtp.smtp_server import Address, eventually

MAIL = b"From: a@example.org\r\n\r\nhello\r\n"


@pytest.fixture
def files(tmp_path):
    return write_certificate(tmp_path)


@pytest.fixture
def secure_door(open_smtp_server, files):
    """Open a door that has a certificate."""

    def start(directory=None, **policy):
        options = {name: policy.pop(name) for name in list(policy) if not hasattr(Address(), name)}
        return open_smtp_server(
            directory, listener=Address(**policy), tls_certificate=files[0], tls_key=files[1], **options
        )

    return start


def secured(talk, files, context=None):
    """Come as far as a STARTTLS that is done; the conversation goes on encrypted."""
    assert "250-STARTTLS\r\n" in talk.say("EHLO x")
    assert talk.say("STARTTLS").startswith("220 2.0.0 ")
    wrap(talk, context or trusting(files[0]))


def wrap(talk, context):
    talk.file.close()
    talk.socket = context.wrap_socket(talk.socket, server_hostname="relay.example.org")
    talk.file = talk.socket.makefile("rb")


def test_a_client_sends_over_starttls(secure_door, files):
    smtp_server = secure_door()
    with smtplib.SMTP("127.0.0.1", smtp_server.port, timeout=30) as client:
        client._host = "relay.example.org"
        client.starttls(context=trusting(files[0]))
        client.sendmail("a@example.org", ["b@example.net"], MAIL)
    assert smtp_server.queue.content == MAIL
    assert b" with ESMTPS id " in smtp_server.queue.mails[-1][1]


def test_a_client_sends_over_implicit_tls(secure_door, files):
    smtp_server = secure_door(implicit_tls=True)
    with smtplib.SMTP_SSL("localhost", smtp_server.port, timeout=30, context=trusting(files[0])) as client:
        assert "starttls" not in client.esmtp_features or not client.ehlo()
        client.ehlo()
        assert not client.has_extn("starttls") and client.has_extn("auth")
        client.sendmail("a@example.org", ["b@example.net"], MAIL)
    assert smtp_server.queue.content == MAIL


def test_no_handshake_of_many_is_cut(secure_door, files):
    """Python 3.11.2 gave one of ten TLS greetings to the SMTP session."""
    smtp_server, context = secure_door(implicit_tls=True), trusting(files[0])
    for _ in range(150):
        with (
            socket.create_connection(("127.0.0.1", smtp_server.port), 30) as raw,
            context.wrap_socket(raw, server_hostname="relay.example.org") as client,
        ):
            assert client.recv(100).startswith(b"220 ")


def test_a_large_mail_comes_whole_through_tls(secure_door, files):
    smtp_server = secure_door(implicit_tls=True)
    mail = b"From: a@example.org\r\n\r\n" + b"x" * 76 * 1024 + b"\r\n" + (b"y" * 998 + b"\r\n") * 2000
    with smtplib.SMTP_SSL("localhost", smtp_server.port, timeout=60, context=trusting(files[0])) as client:
        client.sendmail("a@example.org", ["b@example.net"], mail)
    assert smtp_server.queue.content == mail


def test_starttls_forgets_what_was_said_before(secure_door, files):
    smtp_server = secure_door()
    with smtp_server.connect() as talk:
        talk.say("EHLO before", "MAIL FROM:<a@example.org>")
        assert talk.say("STARTTLS").startswith("220 ")
        wrap(talk, trusting(files[0]))
        assert talk.say("RCPT TO:<b@example.net>").startswith("503 5.5.1 ")
        answer = talk.say("EHLO after")
        assert "STARTTLS" not in answer and "250-AUTH PLAIN LOGIN\r\n" in answer
        assert talk.say("STARTTLS").startswith("503 5.5.1 ")


def test_what_follows_starttls_in_one_flight_ends_the_session(secure_door):
    smtp_server = secure_door()
    with smtp_server.connect() as talk:
        talk.say("EHLO x")
        talk.send(b"STARTTLS\r\nMAIL FROM:<injected@example.org>\r\n")
        assert talk.reply().startswith("554 5.5.1 ")
        assert talk.at_end()


def test_a_listener_may_insist_on_tls(secure_door, files):
    smtp_server = secure_door(starttls="required")
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", "MAIL FROM:<a@example.org>").startswith("530 5.7.0 ")
        secured(talk, files)
        assert talk.mail(MAIL).startswith("250 ")


def test_a_listener_may_leave_starttls_out_though_there_is_a_certificate(secure_door):
    smtp_server = secure_door(starttls="off")
    with smtp_server.connect() as talk:
        assert "STARTTLS" not in talk.say("EHLO x")
        assert talk.say("STARTTLS").startswith("502 5.5.1 ")
        assert talk.mail(MAIL).startswith("250 ")


def _old_client():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def test_an_old_device_is_served_on_a_legacy_listener_alone(secure_door, files, tmp_path):
    write_certificate(tmp_path, old=True)
    modern, legacy = secure_door(implicit_tls=True), secure_door(implicit_tls=True, tls="legacy")
    with socket.create_connection(("127.0.0.1", modern.port), 30) as plain, pytest.raises(ssl.SSLError):
        _old_client().wrap_socket(plain)
    with socket.create_connection(("127.0.0.1", legacy.port), 30) as plain:
        encrypted = _old_client().wrap_socket(plain)
        assert encrypted.version() == "TLSv1"
        assert encrypted.recv(4) == b"220 "
    eventually(lambda: not modern.service.connections.open)


def test_a_new_certificate_is_used_without_ending_a_session(secure_door, files, tmp_path):
    smtp_server = secure_door(implicit_tls=True, tls_reload_seconds=0.05)
    before = smtplib.SMTP_SSL("localhost", smtp_server.port, timeout=30, context=trusting(files[0]))
    first = before.sock.getpeercert(binary_form=True)

    write_certificate(tmp_path)

    def newest():
        with socket.create_connection(("127.0.0.1", smtp_server.port), 30) as plain:
            return unverified().wrap_socket(plain).getpeercert(binary_form=True)

    eventually(lambda: newest() != first)
    before.sendmail("a@example.org", ["b@example.net"], MAIL)
    before.quit()
    assert smtp_server.queue.content == MAIL


def unverified():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_a_certificate_whose_end_cannot_be_read_does_not_stop_the_look_for_the_next(
    secure_door, files, tmp_path, caplog
):
    smtp_server = secure_door(implicit_tls=True, tls_reload_seconds=0.05)
    write_certificate(tmp_path)
    files[0].write_bytes(files[0].read_bytes().replace(b" CERTIFICATE", b" TRUSTED CERTIFICATE"))
    eventually(lambda: any("when it ends is not known" in r.getMessage() for r in caplog.records))
    write_certificate(tmp_path)

    def is_used():
        try:
            with socket.create_connection(("127.0.0.1", smtp_server.port), 30) as plain:
                trusting(files[0]).wrap_socket(plain, server_hostname="localhost").close()
        except ssl.SSLError:
            return False
        return True

    eventually(is_used)


def test_files_that_do_not_fit_leave_the_certificate_before_in_use(secure_door, files, tmp_path, caplog):
    smtp_server = secure_door(implicit_tls=True, tls_reload_seconds=0.05)
    other = tmp_path / "other"
    other.mkdir()
    write_certificate(other)
    files[1].write_bytes((other / "key.pem").read_bytes())
    eventually(lambda: any("the one before stays in use" in r.getMessage() for r in caplog.records))
    with smtplib.SMTP_SSL("localhost", smtp_server.port, timeout=30, context=trusting(files[0])) as client:
        client.sendmail("a@example.org", ["b@example.net"], MAIL)


def test_without_a_usable_certificate_starttls_is_454_and_plain_mail_goes_on(open_smtp_server, tmp_path):
    smtp_server = open_smtp_server(tls_certificate=tmp_path / "missing.pem", tls_key=tmp_path / "missing.key")
    with smtp_server.connect() as talk:
        assert talk.say("EHLO x", "STARTTLS").startswith("454 4.7.0 ")
        assert talk.mail(MAIL).startswith("250 ")


def test_the_end_of_the_certificate_is_a_metric(secure_door, files):
    secure_door()
    seconds = REGISTRY.get_sample_value("graph_smtp_tls_certificate_expiry_seconds", {"file": str(files[0])})
    assert abs(seconds - DAYS * 86400) < 3600


def test_a_handshake_that_fails_is_counted_out(secure_door):
    smtp_server = secure_door(implicit_tls=True)
    with socket.create_connection(("127.0.0.1", smtp_server.port), 30) as plain:
        plain.sendall(b"EHLO plain.example.org\r\n")
        while plain.recv(4096):
            pass
    eventually(lambda: not smtp_server.service.connections.open)


def test_a_handshake_that_stands_still_ends(secure_door):
    smtp_server = secure_door(implicit_tls=True, tls_seconds=0.2)
    with socket.create_connection(("127.0.0.1", smtp_server.port), 30) as plain:
        assert plain.recv(1) == b""
    eventually(lambda: not smtp_server.service.connections.open)


def test_a_drain_in_the_middle_of_a_handshake_does_not_wait_for_it(secure_door):
    smtp_server = secure_door(implicit_tls=True)
    with socket.create_connection(("127.0.0.1", smtp_server.port), 30):
        eventually(lambda: len(smtp_server.service.connections.open) == 1)
        started = time.monotonic()
        stopping = threading.Thread(target=smtp_server.thread.stop, args=(60.0,))
        stopping.start()
        stopping.join(50)
        assert not stopping.is_alive() and time.monotonic() - started < 50
