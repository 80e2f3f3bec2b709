"""An index of the parts of a message: offsets only, found by its boundary lines in one pass."""

from dataclasses import dataclass, field

from mailrelay.address_forms import lower
from mailrelay.mime.contenttype import EMBEDDED, ContentType, parse_content_type
from mailrelay.mime.filename import filename
from mailrelay.mime.headers import Buffer, HeaderBlock
from mailrelay.mime.names import charset_of_names
from mailrelay.mime.source import InMemory, Source
from mailrelay.mime.transfer import IDENTITY, transfer_encoding

__all__ = ["Part", "index_parts", "index_source"]

DEPTH_LIMIT = 100
PART_LIMIT = 10_000

_BOUNDARY_LIMIT = 1000  # bytes; RFC 2046 section 5.1.1 allows 70


@dataclass(slots=True)
class Part:
    """One part, container or leaf; all offsets are in bytes from the start of the data.

    Its header block is `header_start:body_start`, with the blank line; its body `body_start:body_end`,
    without the line break that belongs to the delimiter behind it. `parent` is an index into the list
    of parts, -1 for the message itself. `delimiter` is where the line before its delimiter line ends, its
    `header_start` if it has none. A multipart in which there is no part is a leaf. `opaque` is a leaf that
    would be a container, had the limits of depth (100) or number (10,000) not been reached, so that its body
    may hold delimiters.
    """

    header_start: int
    body_start: int
    body_end: int
    content_type: ContentType
    encoding: str  # as `transfer_encoding` names it
    depth: int
    parent: int
    sealed: bool  # it, or something that it is in, is signed or encrypted
    is_leaf: bool = True
    opaque: bool = False
    delimiter: int = 0


def index_parts(data: Buffer, headers: HeaderBlock | None = None) -> list[Part]:
    """The parts of the message `data`, each container before what is in it, the message itself first.

    `headers` is the parsed top header block, if the caller has it. Any bytes are taken, in time linear in
    their number; beyond 10,000 parts the rest of the message is one opaque leaf, and so is a multipart
    or an embedded message deeper than 100.
    """
    return index_source(InMemory(data), headers)


def index_source(source: Source, headers: HeaderBlock | None = None) -> list[Part]:
    """The same of a message wherever it lies; `source` then knows the charset of its raw 8-bit names."""
    index = _Index(source)
    index.add(0, headers or source.top())
    index.scan()
    index.settle()
    source.charset = charset_of_names(index.parts, source.read)
    index.read_names()
    return index.parts


@dataclass(slots=True)
class _Open:
    part: int
    boundary: bytes
    outer: "_Open | None"  # an open container around it with the same boundary


@dataclass(slots=True)
class _Index:
    source: Source
    parts: list[Part] = field(default_factory=list)
    open: list[_Open] = field(default_factory=list)  # the multiparts around the place read, outermost first
    by_boundary: dict[bytes, _Open] = field(default_factory=dict)
    current: int = -1  # the innermost part that reaches beyond the place read

    def add(self, start: int, headers: HeaderBlock | None = None, delimiter: int | None = None) -> None:
        """Index the part whose header begins at `start` and the messages that it wraps."""
        parent = self.open[-1].part if self.open else -1
        while True:
            part = self._read(start, headers, parent)
            part.delimiter = start if delimiter is None else delimiter
            self.parts.append(part)
            self.current = len(self.parts) - 1
            if not self._enter(part):
                return
            start, headers, parent, delimiter = part.body_start, None, self.current, None

    def scan(self) -> None:
        """Follow the delimiter lines (RFC 2046 section 5.1.1) to the end of the data."""
        at = max(self.parts[-1].body_start - 1, 0)
        while self.open and (line := self.source.delimiter(at)):
            at = line.end
            text = line.text.rstrip(b" \t")
            if found := self.by_boundary.get(text):
                end = self._end_within(found, line.newline)
                self.add(min(at + 1, len(self.source)), delimiter=end)
                if len(self.parts) >= PART_LIMIT:
                    return self._give_up()
                at = max(at, self.parts[-1].body_start - 1)
            elif text.endswith(b"--") and (found := self.by_boundary.get(text[:-2])):
                self._end_within(found, line.newline)
                self._pop()
        return None

    def settle(self) -> None:
        """A multipart in which no delimiter was found is a leaf: all its text is in no part of it."""
        entered = {part.parent for part in self.parts}
        for number, part in enumerate(self.parts):
            part.is_leaf = part.is_leaf or number not in entered

    def read_names(self) -> None:
        """Read raw 8-bit parameters in the charset that is known now that all parts are."""
        for part in self.parts:
            if self.source.charset and not "".join(part.content_type.parameters.values()).isascii():
                above = self.parts[part.parent] if part.parent >= 0 else None
                headers = self._headers(part.header_start, above) if above else self.source.top()
                part.content_type = parse_content_type(headers.content_type, part.content_type.name)

    def _headers(self, start: int, above: Part) -> HeaderBlock:
        return self.source.part_headers(start, embedded=above.content_type.name in EMBEDDED)

    def _read(self, start: int, headers: HeaderBlock | None, parent: int) -> Part:
        above = self.parts[parent] if parent >= 0 else None
        headers = headers or (self._headers(start, above) if above else self.source.top())
        digest = above is not None and above.content_type.name == "multipart/digest"
        kind = parse_content_type(headers.content_type, "message/rfc822" if digest else "text/plain")
        return Part(
            header_start=start,
            body_start=headers.body_offset,
            body_end=len(self.source),
            content_type=kind,
            encoding=transfer_encoding(headers.get("Content-Transfer-Encoding")),
            depth=above.depth + 1 if above else 0,
            parent=parent,
            sealed=kind.is_sealed or (above.sealed if above else _is_smime(headers, kind)),
        )

    def _enter(self, part: Part) -> bool:
        """Make `part` a container if it is one; True if a message begins where its body begins."""
        boundary = part.content_type.boundary.encode("utf-8", "replace")[:_BOUNDARY_LIMIT]
        embedded = part.content_type.name in EMBEDDED and part.encoding in IDENTITY
        if not boundary and not embedded:
            return False
        if part.depth >= DEPTH_LIMIT:
            part.opaque = True
            return False
        part.is_leaf = False
        if boundary:
            opened = _Open(self.current, boundary, self.by_boundary.get(boundary))
            self.open.append(opened)
            self.by_boundary[boundary] = opened
        return embedded

    def _end_within(self, container: _Open, newline: int) -> int:
        """End all that is open within `container` before the delimiter's line break at `newline`.

        Returns where what precedes the delimiter ends, not before the container's body.
        """
        end = self.source.line_end(newline)
        while self.current != container.part:
            part = self.parts[self.current]
            part.body_end = max(part.body_start, end)
            self.current = part.parent
        while self.open[-1] is not container:
            self._pop()
        return max(end, self.parts[container.part].body_start)

    def _pop(self) -> None:
        gone = self.open.pop()
        if gone.outer:
            self.by_boundary[gone.boundary] = gone.outer
        else:
            del self.by_boundary[gone.boundary]

    def _give_up(self) -> None:
        last = self.parts[-1]
        last.is_leaf = last.opaque = True


def _is_smime(headers: HeaderBlock, kind: ContentType) -> bool:
    """Whether a whole message is S/MIME that tells so by its name alone (RFC 8551 section 3.9)."""
    return kind.name == "application/octet-stream" and lower(filename(headers, kind)).endswith(".p7m")
