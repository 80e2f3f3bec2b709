"""PROXY headers: from named proxies alone, and whom they name is who counts."""

import socket
import struct
from ipaddress import ip_network

import pytest

from mailrelay.routing.table import Client, RoutingTable
from tests.smtp.certificates import trusting, write_certificate
from tests.smtp.smtp_server import SENDER, Address, eventually, second_loopback

MAIL = b"From: a@example.org\r\n\r\nhello\r\n"
BEHIND = Client(4, "Behind the proxy", (ip_network("192.0.2.0/24"),))
PROXIED = RoutingTable((SENDER,), (BEHIND,))
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n"


def v2(source="192.0.2.7", command=0x21):
    addresses = socket.inet_aton(source) + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 40000, 25)
    body = addresses if command == 0x21 else b""
    return (
        b"\r\n\r\n\x00\r\nQUIT\n"
        + bytes([command, 0x11 if body else 0])
        + struct.pack("!H", len(body))
        + body
    )


@pytest.fixture
def proxied_door(open_smtp_server):
    def start(proxies="127.0.0.1/32", *, tls=None, **policy):
        listener = Address(proxies=(ip_network(proxies),), **policy)
        options = {"tls_certificate": tls[0], "tls_key": tls[1]} if tls else {}
        return open_smtp_server(PROXIED, listener=listener, proxy_seconds=5.0, **options)

    return start


@pytest.mark.parametrize("header", [V1, v2()])
def test_the_client_is_whom_the_proxy_names(proxied_door, header):
    smtp_server = proxied_door()
    with smtp_server.connect(greeting=False) as talk:
        talk.send(header)
        assert talk.reply().startswith("220 ")
        assert talk.mail(MAIL).startswith("250 ")
    assert smtp_server.queue.last.client_address == "192.0.2.7"
    assert smtp_server.queue.last.client_key == "Behind the proxy"
    assert b"([192.0.2.7])" in smtp_server.queue.mails[-1][1]


@pytest.mark.parametrize("header", [V1, v2()])
def test_the_client_stays_who_it_is_through_starttls(proxied_door, header, tmp_path):
    files = write_certificate(tmp_path)
    smtp_server = proxied_door(tls=files)
    with smtp_server.connect(greeting=False) as talk:
        talk.send(header)
        assert talk.reply().startswith("220 ")
        assert talk.say("EHLO x", "STARTTLS").startswith("220 ")
        talk.file.close()
        talk.socket = trusting(files[0]).wrap_socket(talk.socket, server_hostname="localhost")
        talk.file = talk.socket.makefile("rb")
        assert talk.mail(MAIL).startswith("250 ")
    assert smtp_server.queue.last.client_address == "192.0.2.7"


@pytest.mark.parametrize("header", [V1, v2()])
def test_a_header_and_the_first_bytes_of_tls_may_come_in_one_segment(proxied_door, header, tmp_path):
    import ssl

    files = write_certificate(tmp_path)
    smtp_server = proxied_door(tls=files, implicit_tls=True)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting(files[0]).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", smtp_server.port), 30) as plain:
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        plain.sendall(header + outgoing.read())
        greeting = b""
        while not greeting:
            try:
                greeting = tls.read()
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                received = plain.recv(65536)
                assert received
                incoming.write(received)
    assert greeting.startswith(b"220 ")


@pytest.mark.parametrize(
    "said",
    [
        b"EHLO x\r\n",
        b"PROXY TCP4 nonsense\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
        b"\r\n\r\n\0\r\nXXXX\n",
        b"",
    ],
)
def test_without_a_header_nothing_is_said_to_a_proxy(proxied_door, said):
    smtp_server = proxied_door()
    with smtp_server.connect(greeting=False) as talk:
        talk.send(said)
        talk.socket.shutdown(socket.SHUT_WR)
        assert talk.at_end()
    eventually(lambda: not smtp_server.service.connections.open)


@second_loopback
def test_nobody_but_a_named_proxy_is_served(proxied_door):
    smtp_server = proxied_door()
    with smtp_server.connect(greeting=False, source="127.0.0.2") as talk:
        assert talk.reply().startswith("554")
        assert talk.at_end()


def test_a_header_on_a_listener_without_proxies_is_no_command(open_smtp_server):
    with open_smtp_server(PROXIED).connect() as talk:
        assert talk.say(V1).startswith("500 5.5.2 ")


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", v2(command=0x20)])
def test_a_health_check_is_greeted_and_may_send_nothing(proxied_door, header):
    smtp_server = proxied_door()
    with smtp_server.connect(greeting=False) as talk:
        talk.send(header)
        assert talk.reply().startswith("220 ")
        assert talk.say("EHLO x", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>").startswith("550")
        assert talk.say("QUIT").startswith("221 ")


def test_connections_are_counted_for_the_client_and_not_for_the_proxy(open_smtp_server):
    listener = Address(proxies=(ip_network("127.0.0.1/32"),))
    smtp_server = open_smtp_server(PROXIED, listener=listener, max_connections_per_client=1)
    with (
        smtp_server.connect(greeting=False) as one,
        smtp_server.connect(greeting=False) as two,
        smtp_server.connect(greeting=False) as three,
    ):
        one.send(V1)
        assert one.reply().startswith("220 ")
        two.send(V1)
        assert two.reply().startswith("421 4.7.0 ")
        three.send(v2("192.0.2.8"))
        assert three.reply().startswith("220 ")
