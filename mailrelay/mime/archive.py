"""A file in a ZIP archive: stored as it is, streamed from any offset, padded to a size.

APPNOTE.TXT of PKWARE, sections 4.3 and 4.4: a local header, the bytes, a central directory, and its end,
whose comment is free. Nothing is compressed, so that the archive is as long as is known beforehand.
"""

import struct
import zlib
from typing import Final

from mailrelay.mime.leaves import LeafContent, LeafReader

__all__ = ["Archive"]

_LOCAL: Final = struct.Struct("<4s5H3I2H")
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
_END: Final = struct.Struct("<4s4H2IH")
_VERSION: Final = 20
_UTF_8_NAME: Final = 0x0800
_STORED: Final = 0
#: Midnight of 1 January 1980, the first day that the format knows: the mail tells no better one.
_TIME, _DATE = 0, 0x21
_LONGEST_NAME: Final = 255


class Archive:
    """An archive of one file: `size` bytes of it, `least` at least if a comment of 64 KiB makes up for it.

    `reader` gives the `length` bytes of the file, which are read once here for their checksum.
    """

    def __init__(self, name: str, reader: LeafReader, length: int, least: int = 0) -> None:
        self._reader, self._length = reader, length
        crc = 0
        for block in LeafContent(reader):
            crc = zlib.crc32(block, crc)
        shown = name.encode("utf-8", "replace")[:_LONGEST_NAME]
        sizes = (_TIME, _DATE, crc, length, length, len(shown), 0)
        self._head = _LOCAL.pack(b"PK\3\4", _VERSION, _UTF_8_NAME, _STORED, *sizes) + shown
        about = (_VERSION, _VERSION, _UTF_8_NAME, _STORED, *sizes)
        directory = _CENTRAL.pack(b"PK\1\2", *about, 0, 0, 0, 0, 0) + shown
        known = len(self._head) + length + len(directory) + _END.size
        comment = b" " * min(max(0, least - known), 0xFFFF)
        begins = len(self._head) + length
        end = _END.pack(b"PK\5\6", 0, 0, 1, 1, len(directory), begins, len(comment))
        self._tail = directory + end + comment
        self.size = begins + len(self._tail)

    def part(self, offset: int, length: int) -> "ArchivePart":
        """The `length` bytes at `offset`, read when they are asked for."""
        return ArchivePart(self, offset, length)

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes at `offset`, empty at the end."""
        if offset < len(self._head):
            return self._head[offset : offset + length]
        within = offset - len(self._head)
        if within < self._length:
            self._reader.seek(within)
            return self._reader.read(min(length, self._length - within))
        at = within - self._length
        return self._tail[at : at + length]


class ArchivePart:
    """A stretch of an archive as a request body."""

    def __init__(self, archive: Archive, offset: int, length: int) -> None:
        self._archive, self._at, self._length, self._left = archive, offset, length, length

    def __len__(self) -> int:
        return self._length

    def read(self, n: int = -1) -> bytes:
        """At most `n` bytes, everything for a negative `n`, empty at the end."""
        wanted = self._left if n < 0 else min(n, self._left)
        pieces = []
        while wanted and (piece := self._archive.read(self._at, wanted)):
            pieces.append(piece)
            wanted -= len(piece)
            self._at += len(piece)
            self._left -= len(piece)
        return b"".join(pieces)
