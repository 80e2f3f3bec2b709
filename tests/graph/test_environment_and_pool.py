"""Which connection a request takes: reused or not, through which proxy, never another than asked for."""

import base64
import threading

import pytest

from mailrelay.graph.errors import verdict_of
from mailrelay.graph.http import Fault, GraphSession, Phase, Timeouts
from mailrelay.vocabulary import Blame, Outcome

from .conftest import IMPATIENT
from .wire import ACCEPTED


def test_it_does_not_follow_a_redirect(serve, post):
    there = serve(lambda visit: visit.answer_all(ACCEPTED))
    head = f"HTTP/1.1 307 Go\r\nLocation: {there.url}/\r\nContent-Length: 0\r\n\r\n".encode()
    answer = post(serve(lambda visit: visit.answer_all(head)))
    assert (answer.status, there.visits) == (307, 0)
    verdict = verdict_of(answer)
    assert (verdict.outcome, verdict.blame) == (Outcome.TRANSIENT, Blame.ENDPOINT)


def test_it_reuses_a_connection_that_was_used_a_moment_ago(serve, post):
    peer = serve(lambda visit: visit.answer_all(ACCEPTED))
    session = GraphSession()
    assert [post(peer, session=session).status for _ in range(3)] == [202] * 3
    assert peer.visits == 1


def test_it_does_not_reuse_a_connection_that_was_idle(serve, post):
    peer = serve(lambda visit: visit.answer_all(ACCEPTED))
    session = GraphSession(idle_limit=0.0)
    assert [post(peer, session=session).status for _ in range(3)] == [202] * 3
    assert peer.visits == 3


def test_it_notices_that_the_peer_closed_an_idle_connection(serve, post):
    closed = threading.Event()

    def script(visit):
        visit.read_request()
        visit.sock.sendall(ACCEPTED)
        visit.sock.close()
        closed.set()

    peer = serve(script)
    session = GraphSession()
    for _ in range(3):
        closed.clear()
        assert post(peer, session=session).status == 202
        assert closed.wait(30)


def test_a_forked_child_gets_its_own_connections(serve, post, monkeypatch):
    peer = serve(lambda visit: visit.answer_all(ACCEPTED))
    session = GraphSession()
    post(peer, session=session)
    monkeypatch.setattr("mailrelay.graph.http.process_id", lambda: -1)
    post(peer, session=session)
    assert peer.visits == 2


def test_the_deadline_holds_in_a_forked_child_too(serve, post):
    import os

    peer = serve(lambda visit: (visit.read_request(), visit.drip(b"HTTP/1.1" + b" " * 10_000)))
    session = GraphSession()
    post(serve(lambda visit: visit.answer_all(ACCEPTED)), session=session)  # the thread runs in the parent
    child = os.fork()
    if not child:
        try:
            answer = post(peer, session=session, timeout=Timeouts(connect=20, stall=20, total=1))
            os._exit(0 if answer.failure.fault is Fault.DEADLINE else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_it_reads_no_netrc_and_keeps_no_cookies(serve, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login printer password hunter2\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    heads = []

    def script(visit):
        while head := visit.read_request()[0]:
            heads.append(head.lower())
            visit.sock.sendall(ACCEPTED.replace(b"request-id", b"Set-Cookie: a=b\r\nrequest-id"))

    peer, session = serve(script), GraphSession()
    for _ in range(2):
        session.request("GET", peer.url + "/x", headers={}, timeouts=Timeouts())
    assert len(heads) == 2
    assert not any(b"authorization" in head or b"cookie" in head for head in heads)


def test_it_goes_through_the_proxy_of_the_environment(serve, post, monkeypatch):
    asked = []

    def script(visit):
        asked.append(visit.read_head())
        visit.sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    proxy = serve(script, tls=False)
    peer = serve(lambda visit: visit.answer_all(ACCEPTED))
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter2@127.0.0.1:{proxy.port}")
    answer = post(peer)
    assert asked[0].startswith(f"CONNECT 127.0.0.1:{peer.port} HTTP/1".encode())
    assert base64.b64encode(b"user:hunter2") in asked[0]
    assert (answer.failure.fault, answer.body_sent) == (Fault.PROXY, False)
    verdict = verdict_of(answer)
    assert (verdict.outcome, verdict.blame) == (Outcome.TRANSIENT, Blame.ENDPOINT)
    assert "407" in verdict.sentence
    assert "hunter2" not in repr(answer)

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert post(peer).status == 202


def test_a_proxy_that_drips_meets_the_total_deadline(serve, post, monkeypatch):
    proxy = serve(lambda visit: (visit.read_head(), visit.drip(b"HTTP/1.1 200 " + b"A" * 10_000)), tls=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    answer = post(serve(lambda visit: visit.answer_all(ACCEPTED)), timeout=IMPATIENT)
    assert (answer.failure.fault, answer.phase) == (Fault.DEADLINE, Phase.CONNECT)


def test_a_header_that_cannot_be_sent_is_not_quoted(serve):
    session = GraphSession()
    with pytest.raises(ValueError, match="Authorization") as caught:
        session.request(
            "GET", "https://127.0.0.1:1", headers={"Authorization": "Bearer sec\nret"}, timeouts=Timeouts()
        )
    assert (
        "ret"
        not in str(caught.value).replace("cannot", "").replace("characters", "").split("Authorization")[1]
    )
