"""Faults to order: what the client sees, and whether the mail was sent all the same."""

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests

from sandbox import world
from tests.sandbox.graph_client import GATEWAY, Graph, error, mail, wait_until

GONE = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


def decisions(sandbox):
    return [line["decision"] for line in sandbox.ledger() if line["kind"] == "sendMail"][-1:]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_status_with_a_json_body(graph, sandbox, status):
    sandbox.fault("sendMail", "status", status=status, retry_after="2.128")
    response = graph.send()
    assert response.status_code == status
    assert response.json()["error"]["code"]
    assert response.headers["Retry-After"] == "2.128"
    assert response.headers["request-id"]
    assert sandbox.deliveries() == []


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_status_of_the_edge_without_a_json_body(graph, sandbox, status):
    sandbox.fault("sendMail", "status", status=status, json=False)
    response = graph.send()
    assert (response.status_code, response.content) == (status, b"")
    assert "request-id" not in response.headers
    assert "Retry-After" not in response.headers


def test_a_status_with_a_code_of_its_own(graph, sandbox):
    sandbox.fault("sendMail", "status", status=500, code="ErrorMailboxMoveInProgress", message="Moving.")
    response = graph.send()
    assert error(response) == (500, "ErrorMailboxMoveInProgress")
    assert response.json()["error"]["message"] == "Moving."


def test_too_many_requests_as_in_the_documented_sample(graph, sandbox):
    sandbox.fault("sendMail", "status", status=429, retry_after="2.128")
    body = graph.send().json()["error"]
    assert (body["code"], body["innerError"]["code"]) == ("TooManyRequests", "429")


def test_504_after_accepting(graph, sandbox):
    sandbox.fault("sendMail", "accept_then_status")
    assert graph.send().status_code == 504
    assert len(sandbox.deliveries()) == 1
    line = sandbox.ledger()[-1]
    assert (line["decision"], line["fault"]) == ("applied", "accept_then_status")


def test_202_with_a_retry_after(graph, sandbox):
    sandbox.fault("sendMail", "accept_with_retry_after", retry_after="7")
    response = graph.send()
    assert (response.status_code, response.headers["Retry-After"]) == (202, "7")
    assert len(sandbox.deliveries()) == 1


def test_hang_after_accepting(graph, sandbox):
    sandbox.fault("sendMail", "hang_after_accept", seconds=600)
    with pytest.raises(requests.ReadTimeout):
        graph.send(timeout=2)
    assert len(sandbox.deliveries()) == 1


def test_a_hang_holds_its_slot_only_until_the_client_has_gone(graph, sandbox):
    sandbox.world(limits={"concurrency": 1})
    sandbox.fault("sendMail", "hang", seconds=600)
    with pytest.raises(requests.ReadTimeout):
        graph.send(timeout=2)
    wait_until(lambda: sandbox.stats()["in_flight"] == 0)
    assert graph.send().status_code == 202


def test_a_hang_ends_in_a_reset(graph, sandbox):
    sandbox.fault("sendMail", "hang", seconds=0.1)
    with pytest.raises(GONE):
        graph.send()
    assert sandbox.deliveries() == []


@pytest.mark.parametrize(
    ("kind", "decision", "sent"),
    [("reset_before_body", "reset", 0), ("reset_mid_body", "reset", 0), ("reset_after_accept", "applied", 1)],
)
def test_a_reset(graph, sandbox, kind, decision, sent):
    sandbox.fault("sendMail", kind)
    with pytest.raises(GONE):
        graph.send(mail(body="x" * 3_000_000))
    assert len(sandbox.deliveries()) == sent
    assert decisions(sandbox) == [decision]
    assert graph.send().status_code == 202


def test_a_reset_is_one_on_the_wire(graph, sandbox):
    """Python's ssl took a reset for an orderly end until 3.11.9, so this looks at the socket beneath."""
    sandbox.fault("sendMail", "reset_before_body")
    address = urlsplit(sandbox.base_url)
    context = ssl.create_default_context(cafile=sandbox.ca_file)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=address.hostname)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(outgoing.read())
                incoming.write(connection.recv(65536))
        tls.write(
            f"POST /v1.0/users/{GATEWAY}/sendMail HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n".encode()
        )
        connection.sendall(outgoing.read())
        with pytest.raises(ConnectionResetError):
            while connection.recv(65536):
                pass


def test_a_slow_response_is_still_the_true_one(graph, sandbox):
    sandbox.fault("sendMail", "slow_response", seconds=0.2)
    assert graph.send().status_code == 202


def test_latency_comes_on_top_of_another_fault(graph, sandbox):
    sandbox.fault("sendMail", "latency", ms=50, times=None)
    sandbox.fault("sendMail", "status", status=503)
    assert [graph.send().status_code for _ in range(2)] == [503, 202]
    assert [fault["kind"] for fault in sandbox.faults()] == ["latency"]


def test_a_token_that_graph_calls_expired(graph, sandbox):
    sandbox.fault("sendMail", "token_expired")
    response = graph.send()
    assert error(response) == (401, "InvalidAuthenticationToken")
    assert response.json()["error"]["message"] == "Access token has expired or is not yet valid."


def test_a_claims_challenge(graph, sandbox):
    sandbox.fault("sendMail", "claims_challenge", claims="e30=")
    response = graph.send()
    assert error(response) == (401, "InvalidAuthenticationToken")
    assert 'error="insufficient_claims", claims="e30="' in response.headers["WWW-Authenticate"]


def test_a_single_request_that_is_delivered_twice(graph, sandbox):
    sandbox.fault("sendMail", "duplicate")
    assert graph.send(mail("Message-ID: <d@contoso.test>")).status_code == 202
    assert [d["internet_message_id"] for d in sandbox.deliveries()] == ["<d@contoso.test>"] * 2
    assert len(sandbox.ledger()[-1]["deliveries"]) == 2


def test_a_200_with_nothing_sent(graph, sandbox):
    sandbox.fault("sendMail", "silent_200")
    response = graph.send()
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["request-id"]
    assert sandbox.deliveries() == []


@pytest.mark.parametrize(("kind", "sent"), [("proxy_page", 0), ("accept_with_proxy_page", 1)])
def test_a_page_of_a_proxy(graph, sandbox, kind, sent):
    sandbox.fault("sendMail", kind, status=200)
    response = graph.send()
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html")
    assert "request-id" not in response.headers
    assert len(sandbox.deliveries()) == sent


def test_a_redirect(graph, sandbox):
    sandbox.fault("sendMail", "redirect", location="https://elsewhere.invalid/")
    response = graph.send()
    assert (response.status_code, response.headers["Location"]) == (302, "https://elsewhere.invalid/")


def test_a_fault_can_be_for_one_mailbox_and_one_app(graph, writer, sandbox):
    sandbox.fault("sendMail", "status", mailbox="shared@contoso.test", app=world.SECOND_CLIENT, times=None)
    shared = {"mime": mail(sender=""), "mailbox": "shared@contoso.test"}
    assert graph.send(**shared).status_code == 202
    assert writer.send().status_code == 202
    assert writer.send(**shared).status_code == 503


def test_a_fault_can_skip_requests_and_last_for_some(graph, sandbox):
    sandbox.fault("sendMail", "status", skip=1, times=2)
    assert [graph.send().status_code for _ in range(4)] == [202, 503, 503, 202]


def test_faults_can_be_taken_back(graph, sandbox):
    sandbox.fault("any", "status", times=None)
    sandbox.clear_faults()
    assert graph.send().status_code == 202


def test_a_fault_that_does_not_exist_is_refused_with_the_names_of_those_that_do(sandbox):
    with pytest.raises(ValueError, match="reset_mid_body"):
        sandbox.fault("sendMail", "explode")
    with pytest.raises(ValueError, match="retry_after"):
        sandbox.fault("sendMail", "status", retryafter="1")
    with pytest.raises(ValueError, match="sendMail"):
        sandbox.fault("sendmail", "status")


def test_revoked_tokens_are_refused_and_new_ones_work(sandbox):
    graph = Graph(sandbox)
    assert graph.send().status_code == 202
    sandbox.revoke_tokens()
    wait_until(lambda: Graph(sandbox).send().status_code == 202)
    assert error(graph.send()) == (401, "InvalidAuthenticationToken")


def test_a_connection_that_ends_between_two_requests(graph, sandbox):
    sandbox.fault("sendMail", "close_after_answer")
    response = graph.send(stream=True)
    assert (response.status_code, response.headers.get("Connection")) == (202, None)
    kept = response.raw.connection.sock
    kept.settimeout(60)
    assert kept.recv(1) == b""


def test_taking_faults_back_ends_what_waits_on_their_account(graph, sandbox):
    sandbox.fault("sendMail", "slow_response", seconds=600)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(graph.send, timeout=300)
        wait_until(lambda: sandbox.stats()["in_flight"] == 1)
        sandbox.clear_faults()
        assert answer.result().status_code == 202
