"""Commands of `manage.py` that the running gateway carries out itself, asked at a socket in DATA_DIR.

A second Python beside the gateway takes some 70 MiB, and the kernel kills a container of 128 MiB for that.
Where memory is scarce, `manage.py mailq` and others load nothing (`mailrelay.processes.remote`): they
hand their arguments to the gateway, which runs the command in a thread and sends back what it writes.

The socket is for the gateway's own user and root, who can read the database and the keys as well.
"""

import json
import logging
import os
import socket
import struct
import threading
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections

from mailrelay.processes.remote import COMMANDS, LINE_BYTES, SOCKET, is_for_the_asker

log = logging.getLogger(__name__)

#: Commands that run at a time.
AT_ONCE = 2
#: Seconds for the arguments to come, and for the other side to take a piece of output.
PATIENCE = 30.0


class GoneError(Exception):
    """Who asked has gone away."""


class Control:
    """Listens for commands until it is stopped."""

    def __init__(self, data_dir: Path) -> None:
        """Bind the socket. Where that cannot be, commands run as processes of their own, as elsewhere."""
        self._path = data_dir / SOCKET
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._listener = _bind(self._path)
        if self._listener is not None:
            threading.Thread(target=self._accept, args=(self._listener,), name="control", daemon=True).start()

    def stop(self) -> None:
        if self._listener is not None:
            self._path.unlink(missing_ok=True)
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), name="command", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(PATIENCE)
            try:
                self._run(connection)
            except (GoneError, OSError, ValueError, RecursionError):
                return
            except Exception:
                log.exception("a command at the control socket failed")

    def _run(self, connection: socket.socket) -> None:
        if not _is_trusted(connection):
            return
        arguments = _arguments(connection)
        if not self._places.acquire(blocking=False):
            _send(connection, err="The gateway runs two commands already. Try again in a moment.\n", code=1)
            return
        try:
            _send(connection, code=_call(connection, arguments))
        finally:
            self._places.release()
            connections.close_all()


class _Output:
    """A text stream that goes to who asked."""

    encoding = "utf-8"

    def __init__(self, connection: socket.socket, name: str) -> None:
        self._connection, self._name = connection, name

    def write(self, text: str) -> int:
        """Send `text`. Raises GoneError."""
        _send(self._connection, **{self._name: text})
        return len(text)

    def flush(self) -> None:
        """Nothing is kept."""

    def isatty(self) -> bool:
        return False


def _bind(path: Path) -> socket.socket | None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen()
    except OSError as error:  # a path that is too long, a file system without sockets
        log.info("no control socket at %s: %s", path, error.strerror or error)
        listener.close()
        return None
    return listener


def _is_trusted(connection: socket.socket) -> bool:
    """Whether the other side is this user or root."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    answer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", answer)[1] in {0, os.geteuid()}


def _arguments(connection: socket.socket) -> list[str]:
    """Read the command and its arguments. Raises ValueError where they are none of ours."""
    with connection.makefile("rb") as lines:
        words = json.loads(lines.readline(LINE_BYTES))
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError("no list of words")
    if not words or words[0] not in COMMANDS or any(map(is_for_the_asker, words)):
        raise ValueError("no command that is carried out here")
    return words


def _call(connection: socket.socket, arguments: list[str]) -> int:
    """Run the command, and return its exit code."""
    out, err = _Output(connection, "out"), _Output(connection, "err")
    try:
        call_command(*arguments, stdout=out, stderr=err, no_color=True)
    except CommandError as error:
        err.write(f"CommandError: {error}\n")
        return error.returncode
    except SystemExit as end:
        if isinstance(end.code, str):
            err.write(f"{end.code}\n")
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0


def _send(connection: socket.socket, **said: Any) -> None:
    try:
        connection.sendall(json.dumps(said).encode() + b"\n")
    except OSError as error:
        raise GoneError from error
