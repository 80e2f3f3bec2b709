"""A body that Graph reads as it was meant: no 8-bit bytes, no NUL, CRLF at the end of each line."""

from mailrelay.mime.headers import Buffer, HeaderBlock

__all__ = ["is_clean", "make_safe"]


def is_clean(data: Buffer) -> bool:
    """Whether `data` is ASCII without NUL whose lines all end in CRLF. A memoryview is copied once."""
    text = data if isinstance(data, bytes | bytearray) else bytes(data)
    if not text.isascii() or b"\0" in text:
        return False
    pairs = text.count(b"\r\n")
    return text.count(b"\n") == pairs and text.count(b"\r") == pairs


def make_safe(raw: bytes, headers: HeaderBlock) -> tuple[list[bytes | memoryview], list[str]]:
    body = memoryview(raw)[headers.body_offset :]
    return [body], []
