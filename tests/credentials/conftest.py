"""Certificates, a proxy of the tests' own, and registrations made as `config apply` makes them."""

import datetime as dt
import select
import socket
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

CLIENT = "22222222-2222-2222-2222-222222222222"
TENANT = "11111111-1111-1111-1111-111111111111"


class NewCredential:
    """A key pair with its certificate, in the forms that people have them in."""

    def __init__(self, days=30):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
        now = dt.datetime.now(dt.UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=days))
            .sign(self.key, hashes.SHA256())
        )

    @property
    def public(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def private(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    @property
    def public_key(self) -> str:
        return (
            self.key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def pfx(self, password: str) -> bytes:
        protection = serialization.BestAvailableEncryption(password.encode())
        return pkcs12.serialize_key_and_certificates(b"gateway", self.key, self.certificate, None, protection)


@pytest.fixture(scope="session")
def proof():
    return NewCredential()


class Proxy:
    """An HTTP proxy that knows CONNECT alone, and notes where it was asked to connect to."""

    def __init__(self):
        self.asked = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._server.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head and (data := client.recv(4096)):
            head += data
        method, _, rest = head.partition(b" ")
        target = rest.partition(b" ")[0].decode()
        if method != b"CONNECT":
            client.sendall(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")
            client.close()
            return
        self.asked.append(target)
        host, _, port = target.rpartition(":")
        with client, socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            _pump(client, server)


def _pump(one, other):
    while True:
        for source in select.select([one, other], [], [])[0]:
            data = source.recv(65536)
            if not data:
                return
            (other if source is one else one).sendall(data)


@pytest.fixture
def proxy():
    server = Proxy()
    yield server
    server.close()


@pytest.fixture
def configured(embedded, tmp_path):
    """Bring an app, a mailbox and a default sender in by a file, without the mission's variables."""
    from tests.harness.processes import manage

    for name in [name for name in embedded.environment if name.startswith(("AZURE_", "SENDER_EMAIL"))]:
        del embedded.environment[name]
    base = embedded.sandbox.base_url

    def configured(**keys):
        app = {"name": "contoso", "tenant_id": TENANT, "client_id": CLIENT}
        app |= {"authority_host": base, "graph_endpoint": base, **keys}
        app = {name: value for name, value in app.items() if value is not None}
        document = {
            "apps": [app],
            "mailboxes": [{"app": "contoso", "address": "gateway@contoso.test", "messages_per_minute": 0}],
            "senders": [
                {"name": "all", "app": "contoso", "mailbox": "gateway@contoso.test", "default": True}
            ],
        }
        import yaml

        file = tmp_path / "gateway.yaml"
        file.write_text(yaml.safe_dump(document))
        manage(embedded.environment, "migrate", "--verbosity", "0")
        return manage(embedded.environment, "config", "apply", str(file))

    return configured
