"""Holds a mail between its first byte and its commit: memory first, then a file without a name."""

import asyncio
import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import IO

from mailrelay import memory
from mailrelay.mime.headers import PREFACE, header_start
from mailrelay.mime.lines import LineLengths
from mailrelay.smtp.budget import Lease

#: Bytes of one mail in memory before a file takes over, and in all mails together.
MEMORY_LIMIT, ALL_MEMORY = 256 * 1024, 16 * 1024 * 1024
#: Bytes that are collected for one write once it has, at most, and in all mails together: each write is a
#: turn of a thread, and 50 large mails at once share a small machine.
MOST_WRITE, ALL_WRITES = 512 * 1024, 3 * 1024 * 1024
#: Bytes that each mail may have in memory, however many there are.
LEAST = 16 * 1024
#: Bytes up to which it can matter whether a mail can go as it is: what is larger goes in parts.
LOOKED_AT = 4 * 1024 * 1024
#: Bytes that the header of a mail may have.
HEADER_LIMIT = 256 * 1024
#: What tells that there is no room, as opposed to a broken disk.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

#: First bytes of what `header_start` forgives: a byte order mark, a blank line.
_BEFORE_HEADER = (b"\xef", b"\r", b" ", b"\t")
_FIELD_OR_BLANK = re.compile(rb"[!-9;-~]+[ \t]*:|\r\n|\Z")


class Spool:
    """The content of one mail: the trace header, then what the client sent.

    `write` takes text whose every LF follows a CR (`data.Lines` makes it so). It never raises: a mail that
    is over `limit` bytes or that the disk does not take is dropped while the rest of it is read; `oversize`
    and `error` say so afterwards.
    """

    __slots__ = (
        "_blocks", "_buffered", "_executor", "_file", "_hash", "_header_end", "_lease", "_lengths",
        "_limit", "_prefix", "_skip", "_tail", "_undecided", "_where", "clean", "error", "header_complete",
        "oversize", "put_off", "received", "writing",
    )  # fmt: skip

    def __init__(
        self, limit: int, executor: Executor, where: Path | None, lease: Lease | None = None
    ) -> None:
        self._limit = limit
        self._lease = lease
        self._executor = executor
        self._where = where
        self._prefix = b""
        self._skip = 0
        self._blocks: list[bytes] = []
        self._buffered = 0
        self._file: IO[bytes] | None = None
        #: Of what is in the file.
        self._hash = hashlib.sha256()
        #: Bytes of what was stored that are header as far as is known, and the last of them.
        self._header_end = 0
        self._tail = b""
        #: Whether it begins as what may stand before a header, and more is needed to tell.
        self._undecided = False
        self.header_complete = False
        self._lengths = LineLengths()
        #: Of LOOKED_AT bytes: 7-bit text in lines of fair length that end in CR LF, to be sent as it is.
        self.clean = True
        self.received = 0
        self.oversize = False
        #: The bytes of all messages in transfer are too many just now.
        self.put_off = False
        self.error: OSError | None = None
        #: Whether the disk is being waited for.
        self.writing = False

    async def write(self, data: bytes) -> None:
        """Add a piece; beyond what it may have in memory it goes to the file, outside the event loop."""
        self.received += len(data)
        if self.received > self._limit:
            self.oversize = True
        elif self._lease is not None and not self._dropped and not self._lease.grow_to(self.received):
            self.put_off = True
        if self._dropped:
            self._drop()
            return
        self._look_at(data)
        self._blocks.append(data)
        self._buffered += len(data)
        if self._buffered > LEAST and self._buffered > self._room():
            blocks, self._blocks, self._buffered = self._blocks, [], 0
            self.writing = True
            try:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._executor, self._write_out, blocks)
            except OSError as error:
                self.error = error
                self._drop()
            finally:
                self.writing = False

    def _room(self) -> int:
        """Bytes that it may have in memory now, where many share what there is."""
        most, of_all = (MEMORY_LIMIT, ALL_MEMORY) if self._file is None else (MOST_WRITE, ALL_WRITES)
        return (
            min(max(self._lease.share(memory.scaled(of_all)), LEAST), most)
            if self._lease is not None
            else most
        )

    @property
    def _dropped(self) -> bool:
        return self.oversize or self.put_off or self.error is not None

    @property
    def full(self) -> bool:
        """Whether the mail was dropped for want of room."""
        return self.error is not None and self.error.errno in FULL

    @property
    def header(self) -> bytes:
        """The client's header up to and with its blank line; all of the content if it has none."""
        self._decide()
        return self._stored(self._skip, self._header_end)

    @property
    def header_size(self) -> int:
        """Bytes of `header`, without looking at it."""
        self._decide()
        return self._header_end - self._skip

    @property
    def size(self) -> int:
        return len(self._prefix) + self.received - self._skip

    @property
    def trace_size(self) -> int:
        """Bytes of what was put on top."""
        return len(self._prefix)

    def trace(self, field: bytes) -> None:
        """Put a Received field on top; one that was put there before is replaced."""
        self._decide()
        head = self._stored(0, self._header_end)
        self._skip = header_start(head)
        # Text without any header would become part of ours (Postfix ends the header there as well).
        self._prefix = field if _FIELD_OR_BLANK.match(head, self._skip) else field + b"\r\n"

    def digest(self) -> str:
        """The SHA-256 of what the client sent, in hex."""
        seen = self._hash.copy()
        for block in self._blocks:
            seen.update(block)
        return seen.hexdigest()

    def chunks(self, size: int) -> Iterator[bytes]:
        """Yield the content in pieces of `size` bytes, the last one shorter. May be called again."""
        offset = 0
        while piece := self.read(offset, size):
            yield piece
            offset += len(piece)

    def read(self, offset: int, length: int) -> bytes:
        """The `length` bytes of the content at `offset`; fewer only at the end. Moves nothing."""
        moved = self._skip - len(self._prefix)  # from a place in the content to one in what was stored
        start, stop = max(offset + moved, self._skip), offset + length + moved
        return self._prefix[offset : offset + length] + self._stored(start, stop)

    def _stored(self, start: int, stop: int) -> bytes:
        """What the client sent, from `start` to `stop` as far as there is any."""
        pieces, base = [], 0
        if self._file is not None:
            base = os.fstat(self._file.fileno()).st_size
            if start < min(stop, base):
                pieces.append(os.pread(self._file.fileno(), min(stop, base) - start, start))
        for block in self._blocks:
            pieces.append(block[max(start - base, 0) : max(stop - base, 0)])
            base += len(block)
        return b"".join(filter(None, pieces))

    def close(self) -> None:
        """Give memory, file and budget back."""
        self._drop()
        self._header_end, self._tail = self._skip, b""

    def _look_at(self, data: bytes) -> None:
        if self.clean and self.received <= LOOKED_AT:
            # No LF is bare here, so that one CR more than there are LF is a bare one.
            self._lengths.feed(data)
            self.clean = (
                data.isascii()
                and b"\0" not in data
                and data.count(b"\r") == data.count(b"\n")
                and not self._lengths.exceeded
            )
        if not self.header_complete:
            self._look_for_body(data)

    def _look_for_body(self, data: bytes) -> None:
        # What came last before it, since the blank line may be in both.
        seen = self._tail + data[: HEADER_LIMIT + 1 - self._header_end]
        start = self._header_end - len(self._tail)
        self._undecided = not start and seen[:1] in _BEFORE_HEADER and len(seen) < PREFACE
        if self._undecided:
            self._header_end, self._tail = len(seen), seen
        else:
            self._find_end(seen, start)

    def _decide(self) -> None:
        """Take what there is for all of it: it is asked for the header now."""
        if self._undecided:
            self._undecided = False
            self._find_end(self._tail, 0)

    def _find_end(self, seen: bytes, start: int) -> None:
        """Find the blank line that ends the header in `seen`, which is what came from `start` on."""
        first = 0 if start else header_start(seen)
        if not start and not first and seen.startswith(b"\r\n"):
            end = 2
        else:
            blank = seen.find(b"\r\n\r\n", first)
            end = start + blank + 4 if blank >= 0 else 0
        self.header_complete = end > 0
        self._header_end = end or start + len(seen)
        self._tail = b"" if end else seen[-3:]

    def _write_out(self, blocks: list[bytes]) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._where, prefix="mail-", buffering=0)  # noqa: SIM115
        for block in blocks:
            self._hash.update(block)
            view = memoryview(block)
            while view:
                view = view[self._file.write(view) :]
        memory.let_go_of_pages(self._file.fileno())

    def _drop(self) -> None:
        if self._lease is not None:
            self._lease.release()
        self._blocks = []
        self._buffered = 0
        if self._file is not None:
            self._file.close()
            self._file = None


def spool_directory(data_dir: Path | None) -> Path | None:
    """Make `spool/` in `data_dir` ready; None, the system's temporary directory, if that cannot be had."""
    if data_dir is None:
        return None
    where = data_dir / "spool"
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=where).close()
    except OSError:
        return None
    return where
