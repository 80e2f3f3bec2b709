"""The append-only record of every request that reached the sandbox and what was decided about it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

TAIL = 1024 * 1024


class Ledger:
    """A file of JSON lines, one a decision, each handed to the kernel before the answer leaves.

    A killed sandbox therefore loses no line. Numbers of requests and of deliveries go on where an earlier
    run with the same file ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests, self.deliveries = _last_numbers(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")  # a full disk or a power failure tore the last line

    def write(self, line: dict[str, Any]) -> None:
        os.write(self._descriptor, json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def next_request(self) -> int:
        self.requests += 1
        return self.requests

    def next_delivery(self) -> int:
        self.deliveries += 1
        return self.deliveries

    def close(self) -> None:
        os.close(self._descriptor)


def _last_numbers(path: Path) -> tuple[int, int]:
    requests = deliveries = 0
    if not path.exists():
        return requests, deliveries
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        for text in file:
            try:
                line = json.loads(text)
            except ValueError:
                continue  # the tail may begin, and a killed run may end, in the middle of a line
            requests = max(requests, line.get("seq", 0))
            deliveries = max(deliveries, *line.get("deliveries", ()), line.get("last_delivery", 0))
    return requests, deliveries
