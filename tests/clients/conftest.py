"""The listeners that the clients of the matrix connect to: plain, STARTTLS and implicit TLS."""

from collections.abc import Iterator

import pytest

from gateway.listeners import Listener
from mailrelay.routing import passwords
from mailrelay.routing.table import Client, RoutingTable
from mailrelay.smtp.options import SmtpOptions
from mailrelay.smtp.service import ServiceThread, SmtpService
from tests.clients.cells import LOGIN, PASSWORD, Entrance
from tests.smtp.certificates import write_certificate
from tests.smtp.smtp_server import LOOPBACK, SENDER, Queue

LISTENERS = {
    # As in docs: a client that verifies certificates must not see STARTTLS where it cannot verify ours.
    "plain": Listener("127.0.0.1", 0, starttls="off", cleartext_auth=True),
    "starttls": Listener("127.0.0.1", 0, starttls="required"),
    "tls": Listener("127.0.0.1", 0, implicit_tls=True),
}


@pytest.fixture(scope="session")
def entrance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entrance]:
    folder = tmp_path_factory.mktemp("listeners")
    certificate, key = write_certificate(folder)
    known = Client(7, "Printer", (), login=LOGIN, password_hash=passwords.make(PASSWORD))
    routing = RoutingTable((SENDER,), (LOOPBACK, known))
    queue = Queue()
    options = SmtpOptions(
        "relay.example.org", data_dir=folder, min_free_bytes=0, tls_certificate=certificate, tls_key=key
    )
    thread = ServiceThread(SmtpService(list(LISTENERS.values()), lambda: routing, queue, options))
    thread.start()
    yield Entrance(dict(zip(LISTENERS, thread.service.ports, strict=True)), queue, certificate)
    thread.stop(1.0)
