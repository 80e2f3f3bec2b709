"""Exit 0 when this container's process answers /health (Flower: /healthcheck); needs no library."""

import http.client
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

TIMEOUT = 4.0  # seconds; the image's HEALTHCHECK allows 5


def address() -> tuple[int, str] | None:
    """Return port and path to ask, going by what runs here; None where the probes are switched off."""
    if any(b"celery" in command and b"flower" in command for command in _commands()):
        return int(os.environ.get("FLOWER_PORT", "5555")), "/healthcheck"
    listen = os.environ.get("HTTP_LISTEN", "127.0.0.1:8080")
    return None if listen == "off" else (int(listen.rpartition(":")[2]), "/health")


def _commands() -> Iterator[list[bytes]]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended meanwhile
            yield path.read_bytes().split(b"\0")


def main() -> int:
    found = address()
    if found is None:
        return 0
    port, path = found
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", path)
        return 0 if connection.getresponse().status == http.client.OK else 1
    except (OSError, http.client.HTTPException):
        return 1


if __name__ == "__main__":
    sys.exit(main())
