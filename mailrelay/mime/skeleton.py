"""A message too large for one request, taken apart: a skeleton that fits, and leaves that travel alone.

The skeleton keeps the header, the texts with all their alternatives, and what is small; taken out are files,
the largest first. What is signed or encrypted is never taken apart; a forwarded message goes as one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from mailrelay.mime.compose import Composed
from mailrelay.mime.contenttype import EMBEDDED, ContentType
from mailrelay.mime.filename import content_id, disposition, filename, name_or_default
from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.leaves import decoded_size
from mailrelay.mime.parts import Part, index_source
from mailrelay.mime.source import RandomAccess, Windowed

__all__ = ["Dissection", "Inseparable", "Leaf", "NotSeparableError", "Skeleton", "take_apart"]

#: Bytes below a limit that a skeleton stays, for what composing adds.
MARGIN = 16_384
#: Bytes that a skeleton is made to have if that can be.
AIM = 1_572_864
#: File attachments that Exchange Online lets a message have (its limits page, "File attachments").
MOST_LEAVES = 250
#: Times that more is taken out when re-encoding has made the skeleton grow.
TRIES = 6
#: Containers whose parts mean something by their place or number.
_INDIVISIBLE = frozenset({"multipart/alternative", "multipart/appledouble"})
_BODY_TEXTS = frozenset({"text/plain", "text/html", "text/enriched", "text/calendar", "text/x-amp-html"})
_FILLER = b"Content-Type: text/plain; charset=us-ascii\r\n\r\n"


class Inseparable(Enum):
    """Why a message cannot be taken apart; the value is a clause for a sentence."""

    SEALED = "it is signed or encrypted, which must not be taken apart"
    TEXT = "its text alone is too large"
    MANY = f"more than {MOST_LEAVES} attachments would have to travel apart from it"


class NotSeparableError(Exception):
    """The large route cannot carry a message truthfully."""

    def __init__(self, why: Inseparable) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(slots=True, frozen=True)
class Leaf:
    """A file that was taken out; `start:end` is its body in the message, still in `encoding`."""

    start: int
    end: int
    encoding: str
    name: str
    content_type: str
    content_id: str
    inline: bool
    size: int  # bytes when decoded


@dataclass(slots=True, frozen=True)
class Skeleton:
    """What is left, composed for sending, and what was taken out, in the order of the message."""

    mail: Composed
    leaves: tuple[Leaf, ...]
    changes: tuple[str, ...]


def take_apart(content: RandomAccess, limit: int, compose: Callable[[bytes], Composed]) -> Skeleton:
    """Take out of `content` what it takes for the rest, as `compose` makes it, to have `limit` bytes at most.

    More is taken out where there is more: a skeleton stands in memory. Raises NotSeparableError.
    """
    return Dissection(content, limit).run(compose)


class Dissection:
    """A message, its parts, and which of them can be taken out."""

    def __init__(self, content: RandomAccess, limit: int) -> None:
        self.content = content
        self.limit = limit
        self.source = Windowed(content)
        self.headers = self.source.top()
        self.parts = index_source(self.source, self.headers)
        self.removable = sorted(self._removable(), key=self._length, reverse=True)

    def run(self, compose: Callable[[bytes], Composed]) -> Skeleton:
        return self._result(*self.parting(compose))

    def parting(self, compose: Callable[[bytes], Composed]) -> tuple[set[int], Composed]:
        """What would be taken out, and the rest as composed; reads none of what is taken out."""
        enough = self.limit - MARGIN
        target = min(enough, AIM)
        for _ in range(TRIES):
            removed = self._chosen(target, enough)
            mail = compose(self._skeleton(removed))
            if mail.size <= self.limit:
                return removed, mail
            if len(removed) == len(self.removable):
                break
            excess = max(mail.size - self.limit, MARGIN)
            target, enough = target - excess, enough - excess
        raise NotSeparableError(self._why())

    def _chosen(self, target: int, enough: int) -> set[int]:
        """The largest parts, until what is left has `target` bytes at most; `enough` where they are many."""
        left, chosen = self.content.size, set[int]()
        for number in self.removable:
            if left <= target or (left <= enough and len(chosen) >= MOST_LEAVES):
                break
            chosen.add(number)
            left -= self._length(number)
        if left > 2 * self.limit:  # does not become half of it by being composed
            raise NotSeparableError(self._why())
        if len(chosen) > MOST_LEAVES:
            raise NotSeparableError(Inseparable.MANY)
        return chosen

    def _why(self) -> Inseparable:
        sealed = sum(part.body_end - part.body_start for part in self._outermost_sealed())
        return Inseparable.SEALED if sealed * 2 > self.limit else Inseparable.TEXT

    def _outermost_sealed(self) -> Iterator[Part]:
        return (part for part in self.parts if part.sealed and not self._parent(part, "sealed"))

    def _parent(self, part: Part, attribute: str) -> bool:
        return part.parent >= 0 and bool(getattr(self.parts[part.parent], attribute))

    def _length(self, number: int) -> int:
        part = self.parts[number]
        return part.body_end - part.delimiter

    def _removable(self) -> Iterator[int]:
        within_message: set[int] = set()  # parts inside of forwarded messages
        for number, part in enumerate(self.parts):
            parent = self.parts[part.parent] if part.parent >= 0 else None
            if parent and (part.parent in within_message or parent.content_type.name in EMBEDDED):
                within_message.add(number)
            elif self._is_file(part, parent):
                yield number

    def is_file(self, number: int) -> bool:
        """Whether a part is a file rather than text to be read, or a part of a structure."""
        part = self.parts[number]
        return self._is_file(part, self.parts[part.parent] if part.parent >= 0 else None)

    def _is_file(self, part: Part, parent: Part | None) -> bool:
        if part.sealed or part.opaque:
            return False
        if part.content_type.main == "multipart":  # without a part that could be told
            return False
        if not part.is_leaf and part.content_type.name not in EMBEDDED:
            return False
        if parent and parent.content_type.name in _INDIVISIBLE:
            return False
        headers, kind = self._headers(part), part.content_type
        if disposition(headers) == "attachment" or kind.name not in _BODY_TEXTS:
            return True
        return parent is not None and bool(filename(headers, kind))

    def _headers(self, part: Part) -> HeaderBlock:
        return self.headers if part.parent < 0 else self.source.part_headers(part.header_start)

    def _skeleton(self, removed: set[int]) -> bytes:
        if 0 in removed:
            headers = self.headers.copy()
            headers.fields = [field for field in headers.fields if not field.key.startswith("content-")]
            return headers.as_bytes()
        children: dict[int, int] = {}
        for part in self.parts:
            children[part.parent] = children.get(part.parent, 0) + 1
        pieces, at = [], 0
        for number in sorted(removed):
            part = self.parts[number]
            pieces.append(self.content.read(at, part.delimiter - at))
            at = part.body_end
            children[part.parent] -= 1
            if not children[part.parent]:  # a multipart has at least one part (RFC 2046 section 5.1.1)
                boundary = self.parts[part.parent].content_type.boundary.encode("utf-8", "replace")
                pieces.append(b"\r\n--" + boundary + b"\r\n" + _FILLER)
        pieces.append(self.content.read(at, self.content.size - at))
        return b"".join(pieces)

    def _result(self, removed: set[int], mail: Composed) -> Skeleton:
        changes = list(mail.changes)
        if 0 in removed:
            changes.append(
                "The message was a file and nothing else; it travels as the attachment of an empty text."
            )
        return Skeleton(mail, tuple(self.leaf(number) for number in sorted(removed)), tuple(changes))

    def leaf(self, number: int) -> Leaf:
        """What is to be known of the part to upload it."""
        part = self.parts[number]
        headers, kind = self._headers(part), part.content_type
        identifier, shown = content_id(headers), disposition(headers)
        related = part.parent >= 0 and self.parts[part.parent].content_type.name == "multipart/related"
        encoding = "8bit" if kind.name in EMBEDDED and not part.is_leaf else part.encoding
        return Leaf(
            start=part.body_start,
            end=part.body_end,
            encoding=encoding,
            name=name_or_default(headers, kind),
            content_type=kind.name,
            content_id=identifier,
            inline=bool(identifier) and _is_shown(kind, shown, related=related),
            size=decoded_size(self.content, part.body_start, part.body_end, encoding),
        )


def _is_shown(kind: ContentType, shown: str, *, related: bool) -> bool:
    """Whether a part with an identifier is there for a text; a document stays in sight all the same."""
    if kind.main == "image":
        return related or shown == "inline"
    return related and shown != "attachment"
