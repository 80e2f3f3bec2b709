"""Gives back the page cache of SQLite's files where memory is scarce.

A control group counts the cached pages of the files that its processes read and write. The kernel reclaims
them when the limit is reached, but a kubelet counts them as used: a burst of large mail leaves some 25 MiB.
"""

import os
from contextlib import suppress
from pathlib import Path

from django.db import connection

from mailrelay import memory
from mailrelay.periodic import PeriodicThread


class PageCache(PeriodicThread):
    """Lets go of the pages of the database file and its log when memory is short."""

    name = "page-cache"
    interval = 5.0

    def __init__(self) -> None:
        super().__init__()
        self._database: tuple[tuple[int, int], int] | None = None  # its device and inode, and a descriptor

    def start(self) -> None:
        """Start where it has something to do."""
        if connection.vendor == "sqlite" and memory.scarce():
            super().start()

    def run_once(self) -> None:
        if not memory.is_short():
            return
        path = Path(connection.settings_dict["NAME"])
        memory.let_go_of_pages(self._descriptor(path))
        with suppress(OSError):
            log = os.open(f"{path}-wal", os.O_RDONLY)
            memory.let_go_of_pages(log)
            os.close(log)

    def _descriptor(self, path: Path) -> int:
        """Return a descriptor of the database file that stays open.

        Closing any descriptor of a file ends all POSIX locks that the process has on it, and SQLite relies
        on them (https://www.sqlite.org/howtocorrupt.html, section 2.2).
        """
        found = path.stat()
        file = (found.st_dev, found.st_ino)
        if self._database is None or self._database[0] != file:
            self._database = (file, os.open(path, os.O_RDONLY))
        return self._database[1]
