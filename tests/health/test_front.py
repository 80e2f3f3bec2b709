"""The address of the probes: they answer whatever slow, many or broken clients do beside them."""

import contextlib
import socket
import threading
import time
from http import HTTPStatus

import pytest
import requests

from mailrelay.health import front as front_module
from mailrelay.health.front import Answer, Front, listen
from tests.harness.ports import eventually
from tests.harness.processes import GatewayProcess, Web, base_environment, manage

OK = Answer(HTTPStatus.OK, "text/plain", b"ok\n")
HALF = b"GET /admin/ HTTP/1.1\r\nHost: x\r\n"


class Pages:
    """Takes every connection, and says what it read first."""

    def __init__(self) -> None:
        self.full = False
        self.adopted: list[bytes] = []

    def refuses(self, host: str) -> bool:
        return self.full

    def adopt(self, connection, address) -> None:
        connection.setblocking(True)
        self.adopted.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npage")
        connection.close()


@pytest.fixture
def front():
    made = Front(listen("127.0.0.1", 0), {"/health": lambda: OK})
    made.pages = Pages()
    made.start()
    yield made
    made.stop()


def connect(front, sent: bytes = b"") -> socket.socket:
    made = socket.create_connection(("127.0.0.1", front.port), 10)
    made.sendall(sent)
    return made


def ask(front, sent: bytes) -> bytes:
    with connect(front, sent) as client, client.makefile("rb") as answer:
        return answer.read()


def test_a_probe_is_answered_by_the_front_and_a_page_by_the_pages(front):
    assert ask(front, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").endswith(b"\r\n\r\nok\n")
    assert ask(front, b"GET /health?x=1 HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
    assert ask(front, b"HEAD /health HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n")
    assert ask(front, HALF + b"\r\n").endswith(b"page")


def test_the_pages_read_the_whole_request_with_what_follows_its_head(front):
    request = b"POST /api/v1/messages HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"

    ask(front, request)

    assert front.pages.adopted == [request]


def test_a_head_may_come_byte_by_byte(front):
    with connect(front) as client:
        for byte in b"GET /health HTTP/1.1\r\n\r\n":
            client.sendall(bytes([byte]))
            time.sleep(0.002)
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_many_clients_that_never_finish_a_request_delay_no_probe(front):
    with contextlib.ExitStack() as stack:
        for number in range(400):
            stack.enter_context(connect(front, HALF if number % 2 else b""))
        for _ in range(5):
            begun = time.monotonic()
            assert ask(front, b"GET /health HTTP/1.1\r\n\r\n").endswith(b"ok\n")
            assert time.monotonic() - begun < 1


def test_one_address_has_a_share_of_the_connections_that_wait(front):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(front, HALF)) for _ in range(front_module.WAITING_OF_ONE + 10)]
        eventually(lambda: len(front._clients) == front_module.WAITING_OF_ONE)
        assert clients[0].recv(1) == b""  # the oldest made room


def test_a_request_that_is_too_slow_is_ended(front, monkeypatch):
    monkeypatch.setattr(front_module, "HEAD_SECONDS", 0.2)
    with connect(front, HALF) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_ends_in_the_middle_of_a_request_leaves_nothing_behind(front):
    with connect(front, HALF) as client:
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert not front._clients


def test_a_head_that_is_too_large_is_refused(front):
    answer = ask(front, b"GET / HTTP/1.1\r\nX: " + b"x" * front_module.HEAD_BYTES)

    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "sent", [b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\n\n", b"\xff\xfe \n\n", b"GET /\r\n\r\n"]
)
def test_what_is_no_request_does_no_harm(front, sent):
    assert ask(front, sent).startswith(b"HTTP/1.1 400 ")
    assert ask(front, b"GET /health HTTP/1.1\r\n\r\n").endswith(b"ok\n")


@pytest.mark.parametrize(
    "fields",
    [
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"content-length: 5\nTRANSFER-ENCODING : chunked\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
    ],
)
def test_a_request_whose_end_is_in_doubt_is_refused(front, fields):
    assert ask(front, b"POST /api/v1/messages HTTP/1.1\r\n" + fields + b"\r\n").startswith(b"HTTP/1.1 400 ")
    assert not front.pages.adopted


def test_a_slow_scrape_delays_no_probe(front):
    go = threading.Event()

    def scrape() -> Answer:
        go.wait(10)
        return OK

    front.slow_probes = {"/metrics": scrape}
    with connect(front, b"GET /metrics HTTP/1.1\r\n\r\n") as client:
        assert ask(front, b"GET /health HTTP/1.1\r\n\r\n").endswith(b"ok\n")
        go.set()
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("process", [GatewayProcess, Web], ids=["rungateway", "gunicorn"])
def test_probes_are_answered_beside_300_slow_clients(tmp_path, sandbox, process):
    """Half of them stop within the head of a request, half within its body."""
    body = b"POST /admin/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nx"
    with process(migrated(tmp_path, sandbox)) as gateway, contextlib.ExitStack() as stack:
        for number in range(300):
            client = socket.create_connection(("127.0.0.1", gateway.http_port), 10)
            stack.enter_context(client).sendall(body if number % 2 else HALF)
        for path in ("/health", "/ready", "/health", "/metrics"):
            begun = time.monotonic()
            assert requests.get(f"http://127.0.0.1:{gateway.http_port}{path}", timeout=5).status_code < 504
            assert time.monotonic() - begun < 2
        assert gateway.is_serving()


def migrated(tmp_path, sandbox) -> dict[str, str]:
    environment = base_environment(tmp_path, sandbox)
    manage(environment, "migrate", "--verbosity", "0")
    return environment


def test_pages_answer_head_without_a_body(tmp_path, sandbox):
    with Web(migrated(tmp_path, sandbox)) as web:
        eventually(lambda: web.get("/admin/login/") == 200)
        with socket.create_connection(("127.0.0.1", web.http_port), 10) as client:
            client.sendall(b"HEAD /admin/login/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"\r\n\r\n")
