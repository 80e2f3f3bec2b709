"""A peer with exact control over its socket, for faults below HTTP."""

import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Script = Callable[["Visit"], None]
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nrequest-id: r-1\r\nContent-Length: 0\r\n\r\n"


class Visit:
    """One connection as the peer's script sees it."""

    def __init__(self, sock: socket.socket, over: threading.Event) -> None:
        self.sock = sock
        self.over = over  # set when the test ends
        self._buffer = b""

    def read_head(self) -> bytes:
        """The next request's head; b"" when the client has closed."""
        while b"\r\n\r\n" not in self._buffer:
            data = self._received()
            if not data:
                return b""
            self._buffer += data
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def read_request(self) -> tuple[bytes, bytes]:
        """Head and body; what there is of the body when the client closes early."""
        head = self.read_head()
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(self._buffer) < length:
            data = self._received()
            if not data:
                break
            self._buffer += data
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return head, body

    def _received(self) -> bytes:
        """Bytes; b"" at the end, which newer versions of Python report as an error where TLS is cut off."""
        try:
            return self.sock.recv(65536)
        except (ConnectionError, ssl.SSLError):
            return b""

    def answer_all(self, *answers: bytes) -> None:
        """Answer request after request, the last answer for ever."""
        queue = list(answers)
        while self.read_request()[0]:
            self.sock.sendall(queue.pop(0) if len(queue) > 1 else queue[0])

    def drip(self, data: bytes) -> None:
        """One byte at a time until the test is over, each well within any socket timeout."""
        for byte in data:
            if self.over.wait(0.05):
                return
            self.sock.sendall(bytes([byte]))

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Peer:
    """Listens on loopback and runs `script` for every connection in a thread of its own."""

    def __init__(self, script: Script, context: ssl.SSLContext | None) -> None:
        self.visits = 0
        self._script = script
        self._context = context
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.visits += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
            with sock:
                self._script(Visit(sock, self._over))


def make_certificate(directory: Path, *, name: str = "127.0.0.1") -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate as a CA file, and the server's context for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "peer")])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    ca_file, pair = directory / "peer-ca.pem", directory / "peer.pem"
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    ca_file.write_bytes(pem)
    pair.write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    return ca_file, context
