"""Reads the top header of a message, in the charset that its parts declare."""

from mailrelay.mime.headers import Buffer, HeaderBlock
from mailrelay.mime.parts import index_source
from mailrelay.mime.source import InMemory

__all__ = ["OPENING", "read_top"]

#: Bytes of a message behind its header in which its first text is looked for.
OPENING = 262_144


def read_top(data: Buffer) -> HeaderBlock:
    """The top header block of the message `data`, or of one whose first bytes `data` is.

    Raw 8-bit text in it is read as in `HeaderBlock.parse`, in the charset of the first text if nothing else
    tells one.
    """
    headers = HeaderBlock.parse(data)
    if not headers.guessed:
        return headers
    source = InMemory(bytes(data[: headers.body_offset + OPENING]))
    index_source(source, headers)
    return HeaderBlock.parse(data, source.charset)
