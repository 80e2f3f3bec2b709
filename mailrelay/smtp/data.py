"""The content of DATA as a stream: found by its end, freed of its dots, its line ends made CR LF."""

import asyncio
import re
from typing import Protocol

END = b"\r\n.\r\n"
#: Bytes that the stream reader holds before they are taken from it; twice as many at most.
READ_LIMIT = 64 * 1024

_BARE_LF = re.compile(rb"(?<!\r)\n")
_CRS_LF = re.compile(rb"(?<!\r)\r{2,}\n")
#: CR in a row that wait for their LF; more of them are no line end of anybody's.
MOST_CR = 1024
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
    lines = Lines()
    # The text begins at the start of a line (RFC 5321 section 4.5.2), and the end of an empty one is
    # its first line: the line end that DATA itself had takes part in both.
    lines.feed(b"\r\n")
    rest = None
    while rest is None:
        data = await reader.read(2 * READ_LIMIT)
        if not data:
            raise asyncio.IncompleteReadError(b"", None)
        text, rest = lines.take(data)
        if text:
            await sink.write(text)
    if rest:
        reader._buffer[0:0] = rest  # type: ignore[attr-defined]  # noqa: SLF001 - StreamReader has no unread
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


def stopped_at_wrong_end(last: bytes) -> bool:
    """Whether the `last` bytes look like the end of the message to a client with wrong line ends."""
    return _WRONG_END.search(last) is not None


def _has_bare(data: bytes) -> bool:
    """Whether an LF stands without a CR before it.

    Base64, which is nearly all of every large mail, has lines of one length: there each LF is looked at by
    its place, which takes a third of the time of counting CR LF.
    """
    number, first = data.count(b"\n"), data.find(b"\n")
    step = data.find(b"\n", first + 1) - first
    if (
        first > 0
        and step > 1
        and data[first::step] == b"\n" * number
        and data[first - 1 :: step][:number] == b"\r" * number
    ):
        return False
    return number != data.count(b"\r\n")


class Lines:
    """Takes the stuffed dots away and makes bare LF a CR LF, right across the borders of pieces."""

    __slots__ = ("_held", "_started", "bare")

    def __init__(self) -> None:
        self._held = b""
        self._started = False
        #: Whether a bare LF has come.
        self.bare = False

    def take(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Return the text that `data` adds, and what stands behind the end of the text; None before it."""
        dotted = b"." in data or b"." in self._held
        if dotted and (end := (self._held + data).find(END)) >= 0:
            whole = self._held + data
            self._held = b""
            return self._cleaned(whole[: end + 2]), whole[end + len(END) :]
        return self.feed(data), None

    def feed(self, data: bytes) -> bytes:
        """Return the text that `data`, which begins with a CR LF of no meaning, adds."""
        data = self._held + data
        keep = _undecided(data)
        self._held = data[len(data) - keep :]
        return self._cleaned(data[: len(data) - keep])

    def finish(self, data: bytes) -> bytes:
        """Return the last of the text."""
        return self._cleaned(self._held + data)

    def _cleaned(self, data: bytes) -> bytes:
        if b"." in data:
            data = data.replace(b"\r\n.", b"\r\n")
        if not self._started and data:
            self._started = True
            data = data[2:]
        if _has_bare(data):
            self.bare = True
            data = _BARE_LF_STUFFED.sub(b"\r\n", data)
        return data


def _undecided(data: bytes) -> int:
    """How many bytes at the end of `data` wait for what follows: dots, an LF, or the rest of the end."""
    if data.endswith(b"\r\n.\r"):
        return 4
    if data.endswith(b"\r\n."):
        return 3
    if data.endswith((b"\r\n", b"\n.")):
        return 2
    return 1 if data.endswith((b"\r", b"\n")) else 0


class LineEnds:
    r"""Makes each line end a CR LF, right across the borders of pieces; leaves dots alone.

    An LF ends a line together with all CR before it: CR LF written in the text mode of Windows is CR CR LF.
    """

    __slots__ = ("_held", "_last", "bare")

    def __init__(self) -> None:
        self._held = b""
        self._last = b""
        self.bare = False

    def feed(self, data: bytes) -> bytes:
        """Return the text that `data` adds; CR at its end stay until it is known what follows."""
        data = self._held + data
        kept = len(data.rstrip(b"\r"))
        if len(data) - kept > MOST_CR:
            kept = len(data) - 1
        data, self._held = data[:kept], data[kept:]
        if _has_bare(data):
            self.bare = True
            data = _BARE_LF.sub(b"\r\n", data)
        if b"\r\r\n" in data:
            data = _CRS_LF.sub(b"\r\n", data)
        self._last = (self._last + data)[-2:]
        return data

    def finish(self) -> bytes:
        """Return the last of the text: a line end, unless it has one."""
        held, self._held = self._held, b""
        if held:
            return b"\r\n"
        return b"" if self._last in {b"\r\n", b""} else b"\r\n"
