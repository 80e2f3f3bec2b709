"""The content of DATA as a stream: found by its end, freed of its dots, its line ends made CR LF."""

import asyncio
import re
from typing import NamedTuple, Protocol

END = b"\r\n.\r\n"
#: Bytes that the stream reader holds before they are taken from it; twice as many at most.
READ_LIMIT = 64 * 1024

_BARE_LF = re.compile(rb"(?<!\r)\n")
#: The same within DATA. Where two dots follow, the client has stuffed one (Python's smtplib does, given bytes
#: with LF); a single dot is text of a client that stuffs none there.
_BARE_LF_STUFFED = re.compile(rb"(?<!\r)\n(?:\.(?=\.))?")
#: The same of a client for which a lone dot between bare LF is an end: it has stuffed every leading dot.
_BARE_LF_ALL_STUFFED = re.compile(rb"(?<!\r)\n\.?")
#: CR before the CR LF that ends a line: text mode of Windows, twice. Postfix drops them as well.
_CR_CR_LF = re.compile(rb"(?<!\r)\r\r+\n")
#: A lone dot whose line end, or the one before it, is wrong, and perhaps a QUIT that waits behind it.
#: What may still become an end of DATA does not match.
_WRONG_END = re.compile(
    rb"(?:(?:(?<!\r)\n|\r)\.(?:\r*\n|\r+)|\r\n\.\n)(?:QUIT\s*)?\Z|\r\n\.\r\r+\nQUIT\s*\Z", re.IGNORECASE
)
#: Ends of DATA as a client writes them whose lines end in CR CR LF, and as one that uses bare LF does.
_DOUBLED_END, _LENIENT_END = re.compile(rb"\r+\n\.\r\r+\n"), re.compile(rb"\r*\n\.\r*\n")
#: What waits for the bytes that follow: a line end, a lone dot behind it, or the beginning of either.
_UNDECIDED = re.compile(rb"(?:\r*\n(?:\.\r*\n?)?|\r+)\Z")
#: Bytes in which that is looked for: usually, and at most. A longer run of CR is no line end of anybody's.
_TAIL, MOST_CR = 32, 1024


class Received(NamedTuple):
    """How a content came."""

    #: Whether a bare LF was in it.
    bare: bool = False
    #: Whether its end was taken for one by the silence behind it.
    guessed: bool = False


class Sink(Protocol):
    """What takes the content piece by piece. It raises nothing: DATA has to be read to its end."""

    async def write(self, data: bytes) -> None: ...


async def receive(
    reader: asyncio.StreamReader, sink: Sink, settle: float, *, before: bytes = b"\r\n", lenient: bool = False
) -> Received:
    """Read one DATA content from `reader` to its end, <CRLF>.<CRLF>, into `sink`.

    Lines end in CR LF in the sink, whether it was a bare LF or CR CR LF. A lone dot before CR CR LF is an
    end too where nothing has followed for `settle` seconds, and where it is `lenient` so is one between bare
    LF. What does follow is text: a server that passes such a dot on as text would let a second mail be
    smuggled in behind it (CVE-2023-51764). `before` is what stands before the content, whose last line end
    takes part in the end of an empty one.

    Raises asyncio.IncompleteReadError or ConnectionError when the connection ends before.
    """
    lines = Lines(before, lenient=lenient)
    rest = None
    while rest is None:
        data = await _more(reader, settle if lines.at_odd_end else None)
        if data:
            text, rest = lines.take(data)
        elif lines.at_odd_end:
            await sink.write(lines.finish())
            return Received(lines.bare, guessed=True)
        else:
            raise asyncio.IncompleteReadError(b"", None)
        if text:
            await sink.write(text)
    unread(reader, rest)
    return Received(lines.bare)


async def _more(reader: asyncio.StreamReader, seconds: float | None) -> bytes:
    """Read what has come; nothing at the end of the connection, or when nothing comes within `seconds`."""
    if seconds is None:
        return await reader.read(2 * READ_LIMIT)
    try:
        async with asyncio.timeout(seconds):
            return await reader.read(2 * READ_LIMIT)
    except TimeoutError:
        return b""


def unread(reader: asyncio.StreamReader, data: bytes) -> None:
    """Put `data` back before what `reader` holds."""
    if data:
        reader._buffer[0:0] = data  # type: ignore[attr-defined]  # noqa: SLF001 - StreamReader has no unread


async def receive_chunk(reader: asyncio.StreamReader, size: int, sink: Sink, ends: "LineEnds") -> None:
    """Read the `size` bytes of one BDAT chunk into `sink`, all its line ends CR LF. Raises as `receive`."""
    while size:
        data = await reader.read(min(size, READ_LIMIT))
        if not data:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(data)
        await sink.write(ends.feed(data))


def stopped_at_wrong_end(last: bytes) -> bool:
    """Whether the `last` bytes look like the end of the message to a client with wrong line ends."""
    return _WRONG_END.search(last) is not None


def _odd_ends(data: bytes) -> tuple[bool, bool]:
    """Whether an LF stands without a CR before it, and whether one stands behind two.

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
        # The first LF may be the second byte of all, before whose CR nothing stands.
        start = first - 2 if first > 1 else first - 2 + step
        return False, b"\r" in data[start : first - 2 + step * number : step]
    return number != data.count(b"\r\n"), b"\r\r\n" in data


class Lines:
    """Takes the stuffed dots away and makes every line end a CR LF, right across the borders of pieces."""

    __slots__ = ("_bare_lf", "_held", "_odd_end", "_skip", "bare")

    def __init__(self, before: bytes = b"\r\n", *, lenient: bool = False) -> None:
        """Begin behind `before`: a line end, which makes the text begin with a line, or nothing."""
        self._held = before
        self._odd_end = _LENIENT_END if lenient else _DOUBLED_END
        self._bare_lf = _BARE_LF_ALL_STUFFED if lenient else _BARE_LF_STUFFED
        #: Bytes of `before` that are among what comes next, once it is cleaned.
        self._skip = 2 if before else 0
        #: Whether a bare LF has come.
        self.bare = False

    @property
    def at_odd_end(self) -> bool:
        """Whether what came last is a lone dot that ends the text if nothing follows."""
        return b"." in self._held and self._odd_end.fullmatch(self._held) is not None

    def take(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Return the text that `data` adds, and what stands behind the end of the text; None before it."""
        dotted = b"." in data or b"." in self._held
        if dotted and (end := (self._held + data).find(END)) >= 0:
            whole = self._held + data
            self._held = b""
            return self._cleaned(whole[: end + 2]), whole[end + len(END) :]
        return self.feed(data), None

    def feed(self, data: bytes) -> bytes:
        """Return the text that `data` adds; the bytes at its end that wait for what follows are kept."""
        data = self._held + data
        keep = _undecided(data)
        self._held = data[len(data) - keep :]
        return self._cleaned(data[: len(data) - keep])

    def finish(self) -> bytes:
        """Return the last of the text, which ends before a lone dot if that is what came last."""
        held = self._held
        return self._cleaned(held[: held.index(b".")] if self.at_odd_end else held)

    def _cleaned(self, data: bytes) -> bytes:
        if b"." in data:
            data = data.replace(b"\r\n.", b"\r\n")
        bare, doubled = _odd_ends(data)
        if bare:
            self.bare = True
            data = self._bare_lf.sub(b"\r\n", data)
        if doubled:
            data = _CR_CR_LF.sub(b"\r\n", data)
        if self._skip and data:
            data, self._skip = data[self._skip :], 0
        return data


def _undecided(data: bytes) -> int:
    """How many bytes at the end of `data` wait for what follows."""
    match = _UNDECIDED.search(data[-_TAIL:])
    if match and len(match[0]) == _TAIL:
        match = _UNDECIDED.search(data[-MOST_CR:])
    return len(match[0]) if match else 0


class LineEnds:
    """Makes every line end a CR LF, right across the borders of pieces; leaves dots alone."""

    __slots__ = ("_held", "_last", "bare")

    def __init__(self) -> None:
        self._held = b""
        self._last = b""
        self.bare = False

    def feed(self, data: bytes) -> bytes:
        """Return the text that `data` adds; CR at its end stay until it is known what follows."""
        data = self._held + data
        tail = data[-MOST_CR:]
        self._held = tail[len(tail.rstrip(b"\r")) :]
        data = data[: len(data) - len(self._held)]
        bare, doubled = _odd_ends(data)
        if bare:
            self.bare = True
            data = _BARE_LF.sub(b"\r\n", data)
        if doubled:
            data = _CR_CR_LF.sub(b"\r\n", data)
        self._last = (self._last + data)[-2:]
        return data

    def finish(self) -> bytes:
        """Return the last of the text: a line end, unless it has one."""
        held, self._held = self._held, b""
        if held:
            return b"\r\n"
        return b"" if self._last in {b"\r\n", b""} else b"\r\n"
