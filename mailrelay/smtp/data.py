"""The content of DATA as a stream: found by its end, freed of its dots, its line ends made CR LF."""

import asyncio
import re
from typing import Protocol

END = b"\r\n.\r\n"
#: Bytes that the stream reader holds before they are taken from it; twice as many at most.
READ_LIMIT = 64 * 1024

_BARE_LF = re.compile(rb"(?<!\r)\n")
#: The same within DATA. Where two dots follow, the client has stuffed one (Python's smtplib does, given bytes
#: with LF); a single dot is text of a client that stuffs none there.
_BARE_LF_STUFFED = re.compile(rb"(?<!\r)\n(?:\.(?=\.))?")
#: A lone dot between line ends of which at least one is wrong, and perhaps a QUIT that waits behind it.
#: What may still become the right end does not match.
_WRONG_END = re.compile(rb"(?:(?<!\r)\n|\r(?!\n)|\r\n(?=\.\n))\.(?:\r\n|\n|\r)(?:QUIT\s*)?\Z", re.IGNORECASE)


class Sink(Protocol):
    """What takes the content piece by piece. It raises nothing: DATA has to be read to its end."""

    async def write(self, data: bytes) -> None: ...


async def receive(reader: asyncio.StreamReader, sink: Sink) -> bool:
    """Read one DATA content from `reader` to its end, <CRLF>.<CRLF> and nothing else, into `sink`.

    Returns whether a bare LF was among it; they are CR LF in the sink.
    Raises asyncio.IncompleteReadError or ConnectionError when the connection ends before.
    """
    # The text begins at the start of a line (RFC 5321 section 4.5.2), and the end of an empty one is
    # its first line: the line end that DATA itself had takes part in both.
    reader._buffer[0:0] = b"\r\n"  # type: ignore[attr-defined]  # noqa: SLF001 - StreamReader has no unread
    lines = Lines()
    while True:
        try:
            data = await reader.readuntil(END)
        except asyncio.LimitOverrunError as overrun:
            await sink.write(lines.feed(await reader.readexactly(overrun.consumed)))
        else:
            await sink.write(lines.finish(data[:-3]))
            return lines.bare


async def receive_leniently(reader: asyncio.StreamReader, sink: Sink) -> None:
    """Read like `receive`, but take a lone dot between whatever line ends as the end.

    For devices that end lines with LF alone, on a listener of their own: what one server takes for the end
    of a message and another for its text is how mail is smuggled (CVE-2023-51764).
    """
    gathered, at_start = bytearray(), True
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as overrun:
            # A CR stays where it is until it is known whether an LF follows it.
            line = await reader.readexactly(max(1, overrun.consumed - 1))
        if at_start and line in {b".\n", b".\r\n"}:
            await sink.write(bytes(gathered))
            return
        gathered += line[1:] if at_start and line.startswith(b".") else line
        at_start = line.endswith(b"\n")
        if at_start and not gathered.endswith(b"\r\n"):
            gathered[-1:] = b"\r\n"
        if len(gathered) >= READ_LIMIT:
            await sink.write(bytes(gathered))
            gathered.clear()


async def receive_chunk(reader: asyncio.StreamReader, size: int, sink: Sink, ends: "LineEnds") -> None:
    """Read the `size` bytes of one BDAT chunk into `sink`, their bare LF made CR LF. Raises as `receive`."""
    while size:
        data = await reader.read(min(size, READ_LIMIT))
        if not data:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(data)
        await sink.write(ends.feed(data))


def stopped_at_wrong_end(reader: asyncio.StreamReader) -> bool:
    """Whether what came last looks like the end of the message to a client with wrong line ends."""
    return _WRONG_END.search(bytes(reader._buffer[-16:])) is not None  # type: ignore[attr-defined]  # noqa: SLF001


class Lines:
    """Takes the stuffed dots away and makes bare LF a CR LF, right across the borders of pieces."""

    __slots__ = ("_held", "_started", "bare")

    def __init__(self) -> None:
        self._held = b""
        self._started = False
        #: Whether a bare LF has come.
        self.bare = False

    def feed(self, data: bytes) -> bytes:
        """Return the text that `data`, which begins with a CR LF of no meaning, adds."""
        data = self._held + data
        # A line end stays here until it is known which dots follow it.
        keep = 2 if data.endswith((b"\r\n", b"\n.")) else 1 if data.endswith((b"\r", b"\n")) else 0
        keep += data.endswith(b"\r\n.")
        self._held = data[len(data) - keep :]
        return self._cleaned(data[: len(data) - keep])

    def finish(self, data: bytes) -> bytes:
        """Return the last of the text."""
        return self._cleaned(self._held + data)

    def _cleaned(self, data: bytes) -> bytes:
        data = data.replace(b"\r\n.", b"\r\n")
        if not self._started and data:
            self._started = True
            data = data[2:]
        if data.count(b"\n") != data.count(b"\r\n"):
            self.bare = True
            data = _BARE_LF_STUFFED.sub(b"\r\n", data)
        return data


class LineEnds:
    """Makes bare LF a CR LF, right across the borders of pieces; leaves dots alone."""

    __slots__ = ("_held", "_last", "bare")

    def __init__(self) -> None:
        self._held = b""
        self._last = b""
        self.bare = False

    def feed(self, data: bytes) -> bytes:
        """Return the text that `data` adds; a CR at its end stays until it is known what follows."""
        data = self._held + data
        self._held = data[len(data) - data.endswith(b"\r") :]
        data = data[: len(data) - len(self._held)]
        if data.count(b"\n") != data.count(b"\r\n"):
            self.bare = True
            data = _BARE_LF.sub(b"\r\n", data)
        self._last = (self._last + data)[-2:]
        return data

    def finish(self) -> bytes:
        """Return the last of the text: a line end, unless it has one."""
        held, self._held = self._held, b""
        if held:
            return b"\r\n"
        return b"" if self._last in {b"\r\n", b""} else b"\r\n"
