"""Learns the line end of a client: what ends every line of its session may end DATA too.

A server that relays for others ends its own commands with CR LF, whatever stands in the mail that it passes
on. So a lone dot between other line ends is the end of a mail at once only for a client that has never used
CR LF: nobody can smuggle a mail in through a server, since that one is no such client.
"""

import asyncio
from enum import Enum

from mailrelay.smtp.data import READ_LIMIT, Received, Sink, receive, unread


class LineEnd(Enum):
    LF = b"\n"
    CR_LF = b"\r\n"
    CR_CR_LF = b"\r\r\n"  # and longer


class LineHabit:
    """The end that all lines of a session have had so far; CR LF once any two differ."""

    __slots__ = ("only",)

    def __init__(self) -> None:
        self.only: LineEnd | None = None

    def note(self, line: bytes) -> None:
        """Take a line of the session into account, or the last bytes of it."""
        if self.only is not LineEnd.CR_LF:
            end = _end_of(line)
            self.only = end if self.only in {None, end} else LineEnd.CR_LF


def _end_of(line: bytes) -> LineEnd:
    if line.endswith(b"\r\r\n"):
        return LineEnd.CR_CR_LF
    return LineEnd.CR_LF if line.endswith(b"\r\n") else LineEnd.LF


async def receive_by_habit(
    reader: asyncio.StreamReader, sink: Sink, settle: float, habit: LineHabit, *, lenient: bool
) -> Received:
    """Read one DATA content from `reader` whose end is a lone dot between line ends of `habit`.

    From the first line on that ends otherwise it is read by `receive`, and so is every later mail of the
    session. Raises as `receive`.
    """
    assert habit.only is not None
    own, text, line = habit.only.value, bytearray(), b""
    while True:
        piece = await _piece(reader)
        if piece.endswith(b"\n"):
            habit.note(piece)
        if habit.only is LineEnd.CR_LF:
            break
        if not line and piece.rstrip(b"\r\n") == b"." and piece.endswith(b"\n"):
            await sink.write(bytes(text))
            return Received()
        text += _cleaned(piece, at_start=not line)
        line = b"" if piece.endswith(b"\n") else piece
        if len(text) >= READ_LIMIT:
            await sink.write(bytes(text))
            text.clear()
    await sink.write(bytes(text))
    unread(reader, piece)
    return await receive(reader, sink, settle, before=b"" if line else own, lenient=lenient)


async def _piece(reader: asyncio.StreamReader) -> bytes:
    """Read a line with its end, or the next part of one that is longer than the reader's limit."""
    try:
        return await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError as overrun:
        # The CR of a line end stay together with its LF.
        here = bytes(reader._buffer[: overrun.consumed])  # type: ignore[attr-defined]  # noqa: SLF001
        return await reader.readexactly(len(here.rstrip(b"\r")) or len(here))


def _cleaned(piece: bytes, *, at_start: bool) -> bytes:
    """Take a stuffed dot from the start of a line, and make its end a CR LF."""
    if at_start and piece.startswith(b"."):
        piece = piece[1:]
    return piece.rstrip(b"\r\n") + b"\r\n" if piece.endswith(b"\n") else piece
