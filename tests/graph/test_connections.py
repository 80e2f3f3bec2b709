"""What the network can do to one request, on real sockets."""

import threading
import tracemalloc

import pytest

from mailrelay.graph.calls import Caller
from mailrelay.graph.errors import verdict_of
from mailrelay.graph.http import BodyLengthError, Fault, GraphSession, Phase, Timeouts
from mailrelay.graph.sendmail import send_mime
from mailrelay.graph.tokens import Token
from mailrelay.vocabulary import Blame, Outcome, Reason

from .conftest import IMPATIENT, Stream, make_credential
from .wire import ACCEPTED, Peer, make_certificate

HUGE = 64 * 1024 * 1024  # more than loopback's socket buffers take


def test_it_sends_the_length_and_the_headers_that_graph_wants(serve, post):
    seen = []
    peer = serve(lambda visit: (seen.append(visit.read_request()), visit.sock.sendall(ACCEPTED)))

    answer = post(peer, Stream(5))

    head, body = seen[0]
    assert (answer.status, answer.body_sent, body) == (202, True, b"AAAAA")
    assert head.startswith(b"POST /v1.0/users/gateway@contoso.test/sendMail HTTP/1.1\r\n")
    for line in (
        b"Content-Type: text/plain",
        b"Content-Length: 5",
        b"Authorization: Bearer not-a-real-token",
        b"client-request-id: c-1",
        b"Accept-Encoding: identity",
    ):
        assert line in head.split(b"\r\n")
    assert b"chunked" not in head.lower()


@pytest.mark.parametrize(
    ("user", "path"),
    [
        ("a/b?c#ext#@x.test", b"/users/a%2Fb%3Fc%23ext%23@x.test"),
        ("$ann@x.test", b"/users('$ann@x.test')"),
        ("$o'hara/x@x.test", b"/users('$o%27%27hara%2Fx@x.test')"),
        ("cash$@x.test", b"/users/cash%24@x.test"),
    ],
)
def test_it_quotes_what_a_mailbox_name_could_do_to_the_path(serve, user, path):
    heads = []

    def script(visit):
        while head := visit.read_request()[0]:
            heads.append(head)
            visit.sock.sendall(ACCEPTED)

    peer = serve(script)
    token, credential = Token("t", 2**40, 0), make_credential(peer.url)
    session = GraphSession()

    send_mime(session, token, credential, user, b"A", client_request_id="c")
    Caller(session, token, credential, user, "c").request("POST", "/messages", b"{}")

    assert heads[0].startswith(b"POST /v1.0" + path + b"/sendMail HTTP/1.1")
    assert heads[1].startswith(b"POST /v1.0" + path + b"/messages HTTP/1.1")


def test_a_reset_before_the_body_is_certainly_not_sent(serve, post):
    def script(visit):
        visit.read_head()
        visit.reset()

    answer = post(serve(script), Stream(HUGE))

    assert (answer.status, answer.body_sent, answer.failure.fault) == (None, False, Fault.CLOSED)
    verdict = verdict_of(answer)
    assert (verdict.outcome, verdict.blame) == (Outcome.TRANSIENT, Blame.ENDPOINT)
    assert "gateway@contoso.test" in verdict.sentence


@pytest.mark.parametrize("end", ["reset", "close"])
def test_a_connection_that_ends_after_the_body_leaves_the_outcome_uncertain(serve, post, end):
    def script(visit):
        visit.read_request()
        if end == "reset":
            visit.reset()

    answer = post(serve(script))

    assert (answer.status, answer.body_sent, answer.failure.fault) == (None, True, Fault.CLOSED)
    assert answer.phase is Phase.WAITING
    assert verdict_of(answer).outcome is Outcome.UNCERTAIN


def test_it_never_sends_again_by_itself(serve, post):
    peer = serve(lambda visit: (visit.read_request(), visit.reset()))
    post(peer)
    assert peer.visits == 1


def test_a_peer_that_stops_reading_is_given_up_while_writing(serve, post):
    peer = serve(lambda visit: (visit.read_head(), visit.over.wait(60)))
    answer = post(peer, Stream(HUGE), timeout=Timeouts(connect=20, stall=0.5, total=20))
    assert (answer.failure.fault, answer.phase, answer.body_sent) == (Fault.STALLED, Phase.WRITING, False)
    assert verdict_of(answer).outcome is Outcome.TRANSIENT


def test_a_peer_that_reads_a_little_now_and_then_meets_the_total_deadline(serve, post):
    def script(visit):
        visit.read_head()
        while not visit.over.wait(0.05) and visit.sock.recv(256):
            pass

    answer = post(serve(script), Stream(HUGE), timeout=IMPATIENT)
    assert (answer.failure.fault, answer.body_sent) == (Fault.DEADLINE, False)
    assert verdict_of(answer).outcome is Outcome.TRANSIENT


def test_a_peer_that_never_answers_meets_the_total_deadline(serve, post):
    peer = serve(lambda visit: (visit.read_request(), visit.over.wait(60)))
    answer = post(peer, timeout=IMPATIENT)
    assert answer.failure.fault in (Fault.DEADLINE, Fault.SILENT)  # both are due at the same moment
    assert verdict_of(answer).outcome is Outcome.UNCERTAIN


def test_a_status_line_that_drips_meets_the_total_deadline(serve, post):
    peer = serve(lambda visit: (visit.read_request(), visit.drip(b"HTTP/1.1" + b" " * 10_000)))
    answer = post(peer, timeout=IMPATIENT)
    assert (answer.status, answer.failure.fault) == (None, Fault.DEADLINE)
    assert verdict_of(answer).outcome is Outcome.UNCERTAIN


def test_a_202_whose_headers_drip_is_sent_all_the_same(serve, post):
    head = b"HTTP/1.1 202 Accepted\r\n"
    peer = serve(
        lambda visit: (visit.read_request(), visit.sock.sendall(head), visit.drip(b"X: " + b"A" * 10_000))
    )
    answer = post(peer, timeout=IMPATIENT)
    assert (answer.status, answer.failure.fault) == (202, Fault.DEADLINE)
    assert verdict_of(answer).outcome is Outcome.SENT


def test_endless_interim_replies_meet_the_total_deadline(serve, post):
    def script(visit):
        visit.read_request()
        while not visit.over.wait(0.05):
            visit.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    answer = post(serve(script), timeout=IMPATIENT)
    assert (answer.status, answer.failure.fault) == (None, Fault.DEADLINE)


INTERIM = {
    "103 with hints": b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "an unknown one": b"HTTP/1.1 199 Something\r\nX: y\r\n\r\n",
    "several": b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 103 Early Hints\r\n\r\n" * 50,
}


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM.keys())
def test_an_interim_answer_is_not_the_answer(serve, post, interim):
    peer, session = serve(lambda visit: visit.answer_all(interim + ACCEPTED)), GraphSession()

    answers = [post(peer, session=session) for _ in range(2)]

    assert [verdict_of(answer).outcome for answer in answers] == [Outcome.SENT] * 2
    assert answers[0].request_id == "r-1"
    assert peer.visits == 1


def test_a_refusal_after_an_interim_answer_is_read_whole(serve, post):
    error = b'{"error":{"code":"ErrorInvalidRecipients","message":"no"}}'
    refusal = b"HTTP/1.1 400 Bad\r\nrequest-id: r\r\nContent-Length: %d\r\n\r\n%s" % (len(error), error)
    answer = post(serve(lambda visit: visit.answer_all(INTERIM["103 with hints"] + refusal)))
    assert (answer.status, answer.code) == (400, "ErrorInvalidRecipients")


def test_an_interim_answer_and_then_nothing_is_uncertain(serve, post):
    answer = post(serve(lambda visit: (visit.read_request(), visit.sock.sendall(INTERIM["102"]))))
    assert (answer.status, answer.failure.fault) == (None, Fault.CLOSED)
    assert verdict_of(answer).outcome is Outcome.UNCERTAIN


def test_a_202_whose_body_drips_is_sent_all_the_same(serve, post):
    head = b"HTTP/1.1 202 Accepted\r\nrequest-id: r\r\nContent-Length: 10000\r\n\r\n"
    peer = serve(lambda visit: (visit.read_request(), visit.sock.sendall(head), visit.drip(b" " * 10_000)))
    answer = post(peer, timeout=IMPATIENT)
    assert (answer.status, answer.failure.fault) == (202, Fault.DEADLINE)
    assert verdict_of(answer).outcome is Outcome.SENT


def test_a_server_error_cut_off_in_its_body_is_uncertain(serve, post):
    head = b'HTTP/1.1 500 Oops\r\nrequest-id: r\r\nContent-Length: 900\r\n\r\n{"error":{"code":"ErrorInter'
    answer = post(serve(lambda visit: (visit.read_request(), visit.sock.sendall(head))))
    assert (answer.status, answer.is_json_error) == (500, False)
    assert verdict_of(answer).outcome is Outcome.UNCERTAIN


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00" * 100,
        b"220 mail.example.org ESMTP\r\n",
        b"HTTP/9.9 abc def\r\n\r\n",
        b"HTTP/1.1 99999 much\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon \xff\xfe\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 302 Go\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
    ],
    ids=range(15),
)
def test_whatever_comes_back_is_an_answer_and_never_a_202(serve, post, garbage):
    answer = post(serve(lambda visit: (visit.read_request(), visit.sock.sendall(garbage))))
    verdict = verdict_of(answer)
    assert verdict.outcome in (Outcome.TRANSIENT, Outcome.UNCERTAIN)
    assert verdict.blame is Blame.ENDPOINT


def test_a_silent_tls_partner_is_given_up_as_a_connect_timeout(serve, post):
    peer = serve(lambda visit: visit.over.wait(60), tls=False)
    answer = post(_https(peer), timeout=Timeouts(connect=0.5, total=60))
    assert (answer.failure.fault, answer.phase, answer.body_sent) == (
        Fault.CONNECT_TIMEOUT,
        Phase.CONNECT,
        False,
    )


def test_a_tls_handshake_that_drips_meets_the_total_deadline(serve, post):
    hello = b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb" + b"\x03" * 16_000
    peer = serve(lambda visit: visit.drip(hello), tls=False)
    answer = post(_https(peer), timeout=IMPATIENT)
    assert (answer.failure.fault, answer.phase) == (Fault.DEADLINE, Phase.CONNECT)
    assert verdict_of(answer).outcome is Outcome.TRANSIENT


def test_a_reset_during_the_handshake_is_never_sent(serve, post):
    answer = post(_https(serve(lambda visit: visit.reset(), tls=False)))
    assert (answer.failure.fault, answer.body_sent) == (Fault.TLS, False)


def test_a_refused_connection_is_never_sent(serve, post):
    peer = serve(lambda visit: None)
    peer.close()
    answer = post(peer)
    assert (answer.failure.fault, answer.phase) == (Fault.REFUSED, Phase.CONNECT)
    verdict = verdict_of(answer)
    assert (verdict.outcome, verdict.blame, verdict.reason) == (
        Outcome.TRANSIENT,
        Blame.ENDPOINT,
        Reason.UNREACHABLE,
    )


def test_a_name_that_does_not_exist_is_never_sent(serve, post):
    peer = serve(lambda visit: None)

    class Nowhere:
        url = "https://graph.invalid"

    del peer
    answer = post(Nowhere())
    assert (answer.failure.fault, answer.body_sent) == (Fault.DNS, False)


def test_an_untrusted_certificate_is_refused(serve, post, monkeypatch):
    peer = serve(lambda visit: visit.answer_all(ACCEPTED))
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    answer = post(peer)
    assert (answer.failure.fault, answer.body_sent) == (Fault.TLS, False)
    assert "certificate" in verdict_of(answer).sentence


def test_a_certificate_for_another_name_is_refused(post, monkeypatch, tmp_path):
    ca_file, context = make_certificate(tmp_path, name="other.example")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    peer = Peer(lambda visit: visit.answer_all(ACCEPTED), context)
    answer = post(peer)
    peer.close()
    assert answer.failure.fault is Fault.TLS


def test_a_bundle_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(OSError, match=r"REQUESTS_CA_BUNDLE names /nowhere/ca\.pem"):
        GraphSession()


def test_it_reads_a_bounded_part_of_a_reply_and_drops_the_connection(serve, post):
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3000\r\n\r\n" + b"x" * 3000
    peer = serve(lambda visit: visit.answer_all(page))
    session = GraphSession(reply_limit=1000)
    reply = session.request("GET", peer.url, headers={}, timeouts=Timeouts())
    assert (len(reply.body), reply.complete, reply.failure) == (1000, False, None)
    assert post(peer, session=session).failure is None
    assert peer.visits == 2


def test_an_answer_in_the_middle_of_the_body_counts(serve, post):
    early = b"HTTP/1.1 413 Too large\r\nrequest-id: r\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    def script(visit):
        visit.read_head()
        visit.sock.sendall(early)
        while visit.sock.recv(65536):
            pass

    answer = post(serve(script), Stream(HUGE // 8))
    assert answer.status == 413
    assert verdict_of(answer).outcome is Outcome.TOO_LARGE


def test_it_gives_back_what_the_body_raised_and_leaves_the_request_unfinished(serve, post):
    got = []
    done = threading.Event()
    peer = serve(lambda visit: (got.append(len(visit.read_request()[1])), done.set()))
    with pytest.raises(LookupError, match="the chunk is gone"):
        post(peer, Stream(1_000_000, fails_at=300_000))
    assert done.wait(30)
    assert got[0] < 1_000_000


@pytest.mark.parametrize("gives", [999, 1001])
def test_a_body_of_another_length_than_promised_is_our_fault_and_not_sent(serve, post, gives):
    peer = serve(lambda visit: visit.read_request())
    with pytest.raises(BodyLengthError, match="length said 1000"):
        post(peer, Stream(1000, gives=gives))


def test_a_three_megabyte_mail_never_stands_in_memory(serve, post):
    peer = serve(lambda visit: (visit.read_head(), _swallow(visit, 4_000_000), visit.sock.sendall(ACCEPTED)))
    session = GraphSession()
    tracemalloc.start()
    answer = post(peer, Stream(4_000_000), session=session)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.status == 202
    assert peak < 1_000_000


def test_many_threads_share_a_session(serve, post):
    peer = serve(lambda visit: visit.answer_all(ACCEPTED))
    session, statuses = GraphSession(), []
    threads = [
        threading.Thread(target=lambda: statuses.append(post(peer, session=session).status))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses == [202] * 12


def _https(peer: Peer):
    class Secure:
        url = f"https://127.0.0.1:{peer.port}"

    return Secure()


def _swallow(visit, size: int) -> None:
    left = size
    buffer = bytearray(16384)
    while left > 0:
        got = visit.sock.recv_into(buffer)
        if not got:
            return
        left -= got
