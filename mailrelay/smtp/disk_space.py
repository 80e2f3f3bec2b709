"""Checks for free disk space before a mail is taken."""

import os
import time
from pathlib import Path


class Space:
    """The free bytes of the file systems that a mail is written to; the answer is at most a second old."""

    def __init__(self, directories: tuple[Path, ...], floor: int) -> None:
        self._directories = directories
        self._floor = floor
        self._asked = float("-inf")
        self._spare: int | None = None

    def has_room_for(self, size: int) -> bool:
        """Whether `size` bytes and half of them again fit above the floor (a tenth of the disk at most)."""
        now = time.monotonic()
        if now - self._asked > 1.0:
            answers = map(self._spare_in, self._directories)
            self._spare = min((spare for spare in answers if spare is not None), default=None)
            self._asked = now
        return self._spare is None or self._spare >= size + size // 2

    def _spare_in(self, directory: Path) -> int | None:
        """Free bytes above the floor; None where the system does not tell, which is not a lack of room."""
        try:
            found = os.statvfs(directory)
        except OSError:
            return None
        whole, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        return free - min(self._floor, whole // 10)
