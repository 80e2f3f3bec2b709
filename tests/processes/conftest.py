"""Process tests talk SMTP by hand, so that a signal can come in the middle of a mail."""

import socket

import pytest

from sandbox.client import SandboxProcess


@pytest.fixture(scope="module")
def sandbox_of_module(tmp_path_factory):
    with SandboxProcess(tmp_path_factory.mktemp("sandbox")) as process:
        yield process


class Talk:
    """One SMTP session, a line at a time."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.file = self.socket.makefile("rb")
        assert self.reply().startswith("220 ")

    def reply(self) -> str:
        """Return the last line of a reply; the empty string at the end of the connection."""
        line = self.file.readline().decode()
        while line[3:4] == "-":
            line = self.file.readline().decode()
        return line.rstrip("\r\n")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def say(self, line: str) -> str:
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def begin_data(self) -> None:
        for line, code in {
            "EHLO client.test": "250",
            "MAIL FROM:<app@contoso.test>": "250",
            "RCPT TO:<ann@example.org>": "250",
            "DATA": "354",
        }.items():
            assert self.say(line).startswith(code)

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def talk():
    """Open SMTP sessions that end with the test."""
    sessions: list[Talk] = []

    def open_session(port: int) -> Talk:
        sessions.append(Talk(port))
        return sessions[-1]

    yield open_session
    for session in sessions:
        session.close()
