"""PNG files with a palette of 256 colours: a third of the bytes of what a browser writes (RFC 2083)."""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def smaller(png: bytes) -> bytes:
    """Return `png` (8 bits a channel, RGB or RGBA all opaque) with a palette instead of channels."""
    header, data = b"", b""
    for kind, body in _chunks(png):
        if kind == b"IHDR":
            header = body
        elif kind == b"IDAT":
            data += body
    width, height, depth, colour = struct.unpack(">IIBB", header[:10])
    channels = {2: 3, 6: 4}[colour]
    if depth != 8 or header[12]:
        raise ValueError("a browser writes PNG of 8 bits a channel, not interlaced")
    rows = _pixels(zlib.decompress(data), width, height, channels)
    palette, lines = _reduced(rows, channels)
    packed = zlib.compress(b"".join(b"\0" + line for line in lines), 9)
    out = SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0))
    return out + _chunk(b"PLTE", palette) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(SIGNATURE)
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        yield png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        place += 12 + length


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _pixels(data: bytes, width: int, height: int, channels: int) -> Iterator[bytes]:
    """Undo the filter of each row (RFC 2083 section 6)."""
    stride = width * channels
    before = bytearray(stride)
    for number in range(height):
        start = number * (stride + 1)
        row = bytearray(data[start + 1 : start + 1 + stride])
        _unfilter(data[start], row, before, channels)
        yield bytes(row)
        before = row


def _unfilter(kind: int, row: bytearray, above: bytearray, step: int) -> None:
    if kind == 1:
        for place in range(step, len(row)):
            row[place] = (row[place] + row[place - step]) & 255
    elif kind == 2:
        row[:] = bytes((one + other) & 255 for one, other in zip(row, above, strict=True))
    elif kind:
        guess = _paeth if kind == 4 else _mean
        for place in range(len(row)):
            near = (row[place - step], above[place - step]) if place >= step else (0, 0)
            row[place] = (row[place] + guess(near[0], above[place], near[1])) & 255


def _mean(left: int, above: int, _: int) -> int:
    return (left + above) // 2


def _paeth(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    near = [(abs(guess - left), 0, left), (abs(guess - above), 1, above), (abs(guess - corner), 2, corner)]
    return min(near)[2]


def _reduced(rows: Iterator[bytes], channels: int) -> tuple[bytes, list[bytes]]:
    """Choose 256 colours, and put the nearest of them in place of each other; opacity is left out."""
    colours = [[row[place : place + 3] for place in range(0, len(row), channels)] for row in rows]
    counted = Counter(colour for row in colours for colour in row)
    chosen = _palette(counted)
    index = {colour: number for number, colour in enumerate(chosen)}
    for colour in counted:
        if colour not in index:
            index[colour] = min(range(len(chosen)), key=lambda number: _distance(chosen[number], colour))
    return b"".join(chosen), [bytes(index[colour] for colour in row) for row in colours]


def _palette(counted: Counter[bytes]) -> list[bytes]:
    """The most frequent colours, but of each region the most frequent one first: small badges keep theirs."""
    regions: dict[tuple[int, ...], bytes] = {}
    for colour, _ in counted.most_common():
        regions.setdefault(tuple(part >> 4 for part in colour), colour)
    first = list(regions.values())[:192]
    return [*first, *(colour for colour, _ in counted.most_common(512) if colour not in first)][:256]


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
