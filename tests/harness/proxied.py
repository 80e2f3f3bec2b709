"""SMTP from any address, as a proxy tells it to a listener that believes it (PROXY protocol, version 1)."""

import smtplib
import socket

#: What a listener's address takes to believe the clients of this machine.
BELIEVED = "?proxy=127.0.0.1/32"


class Behind(smtplib.SMTP):
    """A client that seems to be at `address`, where it is called `name`."""

    def __init__(self, port: int, address: str, name: str) -> None:
        self._address = address
        super().__init__("127.0.0.1", port, local_hostname=name, timeout=60)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connection = socket.create_connection((host, port), timeout)
        connection.sendall(f"PROXY TCP4 {self._address} 192.0.2.2 40000 25\r\n".encode())
        return connection
