"""A sandbox for all tests of this folder, and peers whose sockets misbehave to order."""

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest

from mailrelay.graph.answer import Answer
from mailrelay.graph.credentials import Credential
from mailrelay.graph.http import GraphSession, Timeouts
from mailrelay.graph.sendmail import send_mime
from mailrelay.graph.tokens import Token, TokenStore, TokenUnavailable
from sandbox.client import SandboxProcess

from .wire import Peer, Script, make_certificate

TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"
MAILBOX = "gateway@contoso.test"
MIME = (
    b"From: gateway@contoso.test\r\nTo: alice@example.org\r\nSubject: Printer report\r\n"
    b"Message-ID: <1@example.org>\r\n\r\nThe confidential toner level is 7 %.\r\n"
)
#: Short, for faults that only a timeout ends; long enough for a slow machine to connect.
IMPATIENT = Timeouts(connect=5.0, stall=5.0, total=3.0)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory) -> Iterator[SandboxProcess]:
    with SandboxProcess(tmp_path_factory.mktemp("sandbox")) as process:
        yield process


@pytest.fixture
def sandbox(sandbox_process, monkeypatch) -> SandboxProcess:
    sandbox_process.reset()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", sandbox_process.ca_file)
    return sandbox_process


@pytest.fixture
def session(sandbox) -> Iterator[GraphSession]:
    session = GraphSession()
    yield session
    session.close()


@pytest.fixture
def credential(sandbox) -> Credential:
    return make_credential(sandbox.base_url)


def make_credential(base_url: str, **changes) -> Credential:
    given = {"key": "1:1", "secret": "sandbox-secret", "tenant_id": TENANT, "client_id": CLIENT}
    return Credential(**{**given, "authority_host": base_url, "graph_endpoint": base_url, **changes})


class Clock:
    """The true time plus what the test adds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def events() -> list:
    return []


@pytest.fixture
def store(session, clock, events) -> TokenStore:
    return TokenStore(
        session,
        on_refreshed=lambda credential, token: events.append(("refreshed", credential.key)),
        on_failed=lambda credential, verdict: events.append(("failed", verdict.code)),
        clock=clock,
    )


def token_requests(sandbox) -> int:
    return len([line for line in sandbox.ledger() if line["path"].endswith("/oauth2/v2.0/token")])


@pytest.fixture
def requests_made(sandbox):
    before = token_requests(sandbox)
    return lambda: token_requests(sandbox) - before


def failure(store, credential):
    with pytest.raises(TokenUnavailable) as caught:
        store.get(credential)
    return caught.value.verdict


@pytest.fixture
def entra(serve):
    """An Entra that gives everyone a token and keeps the forms: `entra.peer.url`, `entra.forms`."""
    forms = []

    def script(visit):
        while True:
            head, body = visit.read_request()
            if not head:
                return
            if head.startswith(b"POST"):
                forms.append(parse_qs(body.decode()))
                document = {"token_type": "Bearer", "expires_in": 3599, "access_token": f"token-{len(forms)}"}
            else:
                names = ("token_endpoint", "authorization_endpoint")
                document = dict.fromkeys(names, f"{peer.url}/t/oauth2/v2.0/token")
                document["issuer"] = f"{peer.url}/t/v2.0"
            content = json.dumps(document).encode()
            visit.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content))

    peer = serve(script)
    return SimpleNamespace(peer=peer, forms=forms)


@pytest.fixture
def send(session, store, credential) -> Callable[..., Answer]:
    """Send one mail through the sandbox and give the answer."""

    def send(mailbox: str = MAILBOX, mime: bytes = MIME, timeout: float | Timeouts = 60.0) -> Answer:
        return send_mime(
            session,
            store.get(credential),
            credential,
            mailbox,
            base64.b64encode(mime),
            client_request_id=str(uuid.uuid4()),
            timeout=timeout,
        )

    return send


@pytest.fixture(scope="session")
def peer_certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("peer"))


@pytest.fixture
def serve(peer_certificate, monkeypatch) -> Iterator[Callable[..., Peer]]:
    """Start peers that are trusted, by script: `serve(script)`, `serve(script, tls=False)`."""
    ca_file, context = peer_certificate
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    peers: list[Peer] = []

    def serve(script: Script, *, tls: bool = True) -> Peer:
        peers.append(Peer(script, context if tls else None))
        return peers[-1]

    yield serve
    for peer in peers:
        peer.close()


class Stream:
    """A request body made as it is read, that remembers how much was taken."""

    def __init__(self, size: int, *, gives: int | None = None, fails_at: int | None = None) -> None:
        self.size, self.gives, self.fails_at = size, size if gives is None else gives, fails_at
        self.taken = 0

    def __len__(self) -> int:
        return self.size

    def read(self, n: int = -1) -> bytes:
        if self.fails_at is not None and self.taken >= self.fails_at:
            raise LookupError("the chunk is gone")
        chunk = b"A" * min(n if n >= 0 else self.gives, self.gives - self.taken)
        self.taken += len(chunk)
        return chunk


@pytest.fixture
def post() -> Callable[..., Answer]:
    """Send `body` to a peer as one mail, without a token of Entra."""

    def post(
        peer: Peer, body=b"QUJD", *, session: GraphSession | None = None, timeout: float | Timeouts = 60.0
    ) -> Answer:
        return send_mime(
            session or GraphSession(),
            Token("not-a-real-token", expires_at=2**40, acquired_at=0),
            make_credential(peer.url),
            MAILBOX,
            body,
            client_request_id="c-1",
            timeout=timeout,
        )

    return post
