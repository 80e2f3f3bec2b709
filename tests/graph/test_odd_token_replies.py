"""A token that cannot be one is a fault of the endpoint, said in a sentence that does not quote it."""

import json

import pytest

from mailrelay.graph.http import GraphSession
from mailrelay.graph.tokens import TokenStore
from mailrelay.vocabulary import Blame, CredentialKind, Outcome, Reason

from .conftest import failure, make_credential

GOOD = {"token_type": "Bearer", "expires_in": 3599, "access_token": "a.good-token_1~+/="}


@pytest.fixture
def says(serve):
    """Give an Entra whose token endpoint answers 200 with these bytes, and a store that asks it."""

    def answering(content: bytes):
        def script(visit):
            while True:
                head, _ = visit.read_request()
                if not head:
                    return
                body = content if head.startswith(b"POST") or b"/metadata/" in head else discovery(peer.url)
                visit.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

        peer = serve(script)
        return peer, TokenStore(GraphSession())

    return answering


def discovery(url: str) -> bytes:
    names = ("token_endpoint", "authorization_endpoint")
    document = dict.fromkeys(names, f"{url}/t/oauth2/v2.0/token") | {"issuer": f"{url}/t/v2.0"}
    return json.dumps(document).encode()


def odd(**changes) -> bytes:
    return json.dumps(GOOD | changes).encode()


ODD = {
    "a line break": odd(access_token="secret-part\r\nX-Injected: 1"),
    "a line break at its end": odd(access_token="secret-part\n"),
    "a lone carriage return": odd(access_token="secret-part\rmore"),
    "letters beyond ASCII": odd(access_token="secret-part-é"),
    "letters beyond Latin-1": odd(access_token="secret-part-\u20ac"),
    "half a letter": b'{"token_type":"Bearer","expires_in":3599,"access_token":"secret-part-\\ud800"}',
    "Latin-1 JSON": '{"access_token": "secret-part-é", "expires_in": 3599}'.encode("latin-1"),
    "NUL": odd(access_token="secret-part\0"),
    "a blank": odd(access_token="secret-part more"),
    "a number": odd(access_token=5),
    "a list": odd(access_token=["secret-part"]),
    "nothing": odd(access_token=""),
    "null": odd(access_token=None),
    "no field": b'{"token_type": "Bearer"}',
    "JSON without an end": odd(access_token="secret-part")[:-1],
    "a depth without end": b'{"access_token":' + b"[" * 30_000,
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_token_is_a_fault_of_the_endpoint_in_a_sentence(says, name, caplog):
    peer, store = says(ODD[name])

    verdict = failure(store, make_credential(peer.url, tenant_id="t"))

    assert (verdict.outcome, verdict.blame, verdict.reason) == (
        Outcome.TRANSIENT,
        Blame.CREDENTIAL,
        Reason.SERVER_ERROR,
    )
    assert peer.url in verdict.sentence
    assert "holds no token that can be used" in verdict.sentence
    assert "secret-part" not in verdict.sentence + verdict.advice + caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("name", ["a line break", "Latin-1 JSON", "no field"])
def test_so_it_is_where_a_host_gives_a_managed_identity(says, monkeypatch, name):
    peer, store = says(ODD[name])
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{peer.url}/metadata/identity")
    monkeypatch.setenv("IDENTITY_HEADER", "x")

    verdict = failure(store, make_credential(peer.url, kind=CredentialKind.MANAGED_IDENTITY))

    assert (verdict.outcome, verdict.reason) == (Outcome.TRANSIENT, Reason.SERVER_ERROR)
    assert "managed identity" in verdict.sentence


@pytest.mark.parametrize(
    ("expires_in", "lifetime"), [(60, 60), ("60", 60), (1e15, 172_800), (-5, 0), (86_399, 86_399)]
)
def test_a_lifetime_that_is_odd_has_bounds(says, expires_in, lifetime):
    peer, store = says(odd(expires_in=expires_in))

    token = store.get(make_credential(peer.url, tenant_id="t"))

    assert token.value == GOOD["access_token"]
    assert token.expires_at - token.acquired_at == lifetime


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_before_the_reply_is_no_fault(says, codec):
    peer, store = says(odd().decode().encode(codec))

    assert store.get(make_credential(peer.url, tenant_id="t")).value == GOOD["access_token"]


@pytest.mark.parametrize("expires_in", ["soon", None, [], {}, "1e999"])
def test_a_lifetime_that_is_no_number_is_a_fault_of_the_endpoint_too(says, expires_in):
    peer, store = says(odd(expires_in=expires_in))

    verdict = failure(store, make_credential(peer.url, tenant_id="t"))

    assert (verdict.outcome, verdict.reason) == (Outcome.TRANSIENT, Reason.SERVER_ERROR)
