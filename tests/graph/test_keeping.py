"""Connections that are kept for the next request, and servers that close them as they are used."""

import contextlib
import socket
import threading

import pytest

from mailrelay.graph.errors import verdict_of
from mailrelay.graph.faults import Fault
from mailrelay.graph.http import GraphSession, Timeouts
from mailrelay.graph.keeping import FORGOTTEN, Keeping
from mailrelay.vocabulary import Outcome

from .conftest import IMPATIENT
from .wire import ACCEPTED

LATE = b"HTTP/1.1 408 Request Time-out\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def once(visit) -> None:
    """Answer one request of a connection, and close it as the next one has been read."""
    visit.read_request()
    visit.sock.sendall(ACCEPTED)
    visit.read_request()


def tunnel(there: int, visit) -> None:
    """Carry bytes between a client and the port `there`, as a proxy does after CONNECT."""
    visit.read_head()
    visit.sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 Connected\r\n\r\n")
    with socket.create_connection(("127.0.0.1", there)) as other:
        back = threading.Thread(target=_copy, args=(other, visit.sock), daemon=True)
        back.start()
        _copy(visit.sock, other)
        back.join(5)


def _copy(source, target) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("proxied", [False, True], ids=["straight", "through a proxy"])
def test_a_server_that_closes_kept_connections_as_they_are_used_costs_one_mail(
    serve, post, monkeypatch, proxied
):
    peer = serve(once)
    if proxied:
        proxy = serve(lambda visit: tunnel(peer.port, visit), tls=False)
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    session = GraphSession()

    answers = [post(peer, session=session) for _ in range(6)]

    assert [answer.status for answer in answers] == [202, None, 202, 202, 202, 202]
    assert answers[1].failure.fault is Fault.KEPT_CLOSED
    verdict = verdict_of(answers[1])
    assert (verdict.outcome, verdict.code) == (Outcome.UNCERTAIN, "kept_connection_closed")
    assert peer.visits == 5


def test_a_server_whose_connections_are_not_kept_is_told_so(serve, post):
    heads = []

    def script(visit):
        heads.append(visit.read_request()[0])
        visit.sock.sendall(ACCEPTED)
        heads.append(visit.read_request()[0])

    peer, session = serve(script), GraphSession()
    for _ in range(3):
        post(peer, session=session)

    assert [b"\r\nConnection: close\r\n" in head for head in heads if head] == [False, False, True]


def test_other_hosts_keep_their_connections(serve, post):
    bad, good, session = serve(once), serve(lambda visit: visit.answer_all(ACCEPTED)), GraphSession()

    for _ in range(3):
        post(bad, session=session)
        post(good, session=session)

    assert good.visits == 1


def test_a_request_that_was_cut_short_on_a_kept_connection_is_certainly_not_sent(serve, post):
    def script(visit):
        visit.read_request()
        visit.sock.sendall(ACCEPTED)
        visit.read_head()
        visit.reset()

    peer, session = serve(script), GraphSession()
    post(peer, session=session)

    answer = post(peer, b"A" * 64 * 1024 * 1024, session=session)

    assert (answer.failure.fault, answer.body_sent) == (Fault.KEPT_CLOSED, False)
    assert verdict_of(answer).outcome is Outcome.TRANSIENT


@pytest.mark.parametrize("when", ["with the answer", "later"])
def test_bytes_that_belong_to_no_request_are_not_taken_for_an_answer(serve, post, when):
    sent = threading.Event()

    def script(visit):
        visit.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        visit.read_request()
        visit.sock.sendall(ACCEPTED + (LATE if when == "with the answer" else b""))
        if when == "later":
            visit.sock.sendall(LATE)
        sent.set()
        visit.answer_all(ACCEPTED)

    peer, session = serve(script), GraphSession()
    assert post(peer, session=session).status == 202
    assert sent.wait(30)

    assert post(peer, session=session).status == 202


def test_a_timeout_that_meets_the_next_request_ends_the_keeping(serve, post):
    def script(visit):
        visit.read_request()
        visit.sock.sendall(ACCEPTED)
        if visit.read_request()[0]:
            visit.sock.sendall(LATE)

    peer, session = serve(script), GraphSession()

    answers = [post(peer, session=session) for _ in range(4)]

    assert [answer.status for answer in answers] == [202, 408, 202, 202]
    assert verdict_of(answers[1]).outcome is Outcome.UNCERTAIN


def test_a_connection_that_broke_late_shortens_the_keeping_and_a_second_one_ends_it():
    now = [0.0]
    keeping = Keeping("graph.test", 30.0, lambda: now[0])

    keeping.broke(8.0)
    assert keeping.limit == 4.0
    keeping.broke(3.0)
    assert (keeping.limit, keeping.keeps) == (0.0, False)

    now[0] = FORGOTTEN + 1
    assert keeping.limit == 30.0


def test_a_connection_that_broke_at_once_ends_the_keeping():
    keeping = Keeping("graph.test", 30.0)

    keeping.broke(0.1)

    assert not keeping.keeps


def test_a_fresh_connection_that_breaks_says_nothing_of_kept_ones(serve, post):
    def script(visit):
        visit.read_request()
        visit.reset()

    peer, session = serve(script), GraphSession()

    assert post(peer, session=session).failure.fault is Fault.CLOSED
    assert post(peer, session=session).failure.fault is Fault.CLOSED


def test_the_deadline_holds_through_a_proxy_that_is_spoken_to_over_tls(serve, post, monkeypatch):
    peer = serve(lambda visit: (visit.read_request(), visit.drip(b"HTTP/1.1" + b" " * 10_000)))
    proxy = serve(lambda visit: tunnel(peer.port, visit))
    monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{proxy.port}")
    session = GraphSession()

    for _ in range(2):
        timeouts = Timeouts(connect=IMPATIENT.connect, stall=IMPATIENT.stall, total=2.0)
        answer = post(peer, session=session, timeout=timeouts)
        assert answer.failure.fault is Fault.DEADLINE
