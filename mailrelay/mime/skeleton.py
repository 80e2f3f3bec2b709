"""A message too large for one request, taken apart: a skeleton that fits, and leaves that travel alone.

The skeleton keeps the header, the texts with all their alternatives, and what is small; taken out are files,
the largest first, and calendars and texts only where these are not enough. A short text stands where the
message's own would be missing. What is signed or encrypted is never taken apart; a forwarded message goes as
one.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from mailrelay.mime.compose import Composed
from mailrelay.mime.contenttype import EMBEDDED, ContentType
from mailrelay.mime.filename import content_id, disposition, name_or_default
from mailrelay.mime.leaves import decoded_size
from mailrelay.mime.outline import Outline, Role
from mailrelay.mime.parts import Part
from mailrelay.mime.shorttext import instead_of
from mailrelay.mime.source import RandomAccess, Windowed
from mailrelay.vocabulary import LargeText

__all__ = ["Dissection", "Inseparable", "Leaf", "NotSeparableError", "Skeleton", "take_apart"]

#: Bytes below a limit that a skeleton stays, for what composing adds.
MARGIN = 16_384
#: Bytes that a skeleton is made to have if that can be.
AIM = 1_572_864
#: File attachments that Exchange Online lets a message have (its limits page, "File attachments").
MOST_LEAVES = 250
#: Times that more is taken out when re-encoding has made the skeleton grow.
TRIES = 6
_FILLER = b"Content-Type: text/plain; charset=us-ascii\r\n\r\n"
_NAMES = {Role.TEXT: "message", Role.CALENDAR: "invite", Role.FILE: "attachment"}


#: What is read in its place where that can be.
_READ = {Role.TEXT: "A text", Role.CALENDAR: "An invitation"}


class Inseparable(Enum):
    """Why a message cannot be taken apart; the value is a clause for a sentence."""

    SEALED = "it is signed or encrypted, which must not be taken apart"
    TEXT = "its text alone is too large, and its sender does not send a text as a file"
    MANY = f"more than {MOST_LEAVES} attachments would have to travel apart from it"
    STRUCTURE = "what is large in it is no part that can be told from the others"


class NotSeparableError(Exception):
    """The large route cannot carry a message truthfully."""

    def __init__(self, why: Inseparable) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(slots=True, frozen=True)
class Leaf:
    """A part that was taken out; `start:end` is its body in the message, still in `encoding`."""

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


def take_apart(
    content: RandomAccess,
    limit: int,
    compose: Callable[[bytes], Composed],
    large_text: LargeText = LargeText.FILE,
) -> Skeleton:
    """Take out of `content` what it takes for the rest, as `compose` makes it, to have `limit` bytes at most.

    More is taken out where there is more: a skeleton stands in memory. Raises NotSeparableError.
    """
    return Dissection(content, limit, large_text).run(compose)


class Dissection:
    """A message, its parts, and which of them can be taken out."""

    def __init__(self, content: RandomAccess, limit: int, large_text: LargeText = LargeText.FILE) -> None:
        self.content = content
        self.limit = limit
        self.large_text = large_text
        self.outline = Outline(Windowed(content))
        self.parts = self.outline.parts
        self._files = self._largest_first(Role.FILE)
        self._read = self._largest_first(Role.CALENDAR, *([Role.TEXT] if self.texts_travel else []))

    @property
    def texts_travel(self) -> bool:
        """Whether a text that is too large may travel as a file."""
        return self.large_text is LargeText.FILE

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
            if len(removed) == len(self._files) + len(self._read):
                break
            excess = max(mail.size - self.limit, MARGIN)
            target, enough = target - excess, enough - excess
        raise NotSeparableError(self._why())

    def _largest_first(self, *roles: Role) -> list[int]:
        numbers = (n for n in self.outline.leaves() if self.outline.roles[n] in roles)
        whole = (n for n in numbers if not (self.parts[n].sealed or self.parts[n].opaque))
        return sorted(whole, key=self._length, reverse=True)

    def _chosen(self, target: int, enough: int) -> set[int]:
        """The parts to take out: files, until what is left has `target` bytes at most.

        Where they are too many, or not enough for `enough` bytes, the largest of all parts, texts as well.
        """
        chosen, left = self._taken(self._files, target, enough)
        if left > enough or len(chosen) > MOST_LEAVES:
            every = sorted([*self._files, *self._read], key=self._length, reverse=True)
            chosen, left = self._taken(every, enough, enough)
        if left > 2 * self.limit:  # does not become half of it by being composed
            raise NotSeparableError(self._why())
        if len(chosen) > MOST_LEAVES:
            raise NotSeparableError(Inseparable.MANY)
        return chosen

    def _taken(self, order: Iterable[int], target: int, enough: int) -> tuple[set[int], int]:
        chosen, left = set[int](), self.content.size
        for number in order:
            if left <= target or (left <= enough and len(chosen) >= MOST_LEAVES):
                break
            chosen.add(number)
            left -= self._length(number)
        return chosen, left

    def _why(self) -> Inseparable:
        sealed = sum(part.body_end - part.body_start for part in self._outermost_sealed())
        if sealed * 2 > self.limit:
            return Inseparable.SEALED
        texts = (n for n, role in enumerate(self.outline.roles) if role is Role.TEXT)
        large = sum(map(self._length, texts)) * 2 > self.limit
        return Inseparable.TEXT if large and not self.texts_travel else Inseparable.STRUCTURE

    def _outermost_sealed(self) -> Iterator[Part]:
        for part in self.parts:
            if part.sealed and not (part.parent >= 0 and self.parts[part.parent].sealed):
                yield part

    def _length(self, number: int) -> int:
        part = self.parts[number]
        return part.body_end - part.delimiter

    def _skeleton(self, removed: set[int]) -> bytes:
        if 0 in removed:
            return self._front()
        replaced = self._replaced(removed)
        children: dict[int, int] = {}
        for part in self.parts:
            children[part.parent] = children.get(part.parent, 0) + 1
        pieces, at = [], 0
        for number in sorted(removed):
            part = self.parts[number]
            pieces.append(self.content.read(at, part.delimiter - at))
            at = part.body_end
            if number in replaced:
                pieces += [b"\r\n", self._delimiter(part), instead_of(part.content_type)]
                continue
            children[part.parent] -= 1
            if not children[part.parent]:  # a multipart has at least one part (RFC 2046 section 5.1.1)
                pieces += [b"\r\n", self._delimiter(part), _FILLER]
        pieces.append(self.content.read(at, self.content.size - at))
        return b"".join(pieces)

    def _front(self) -> bytes:
        """What is left of a message that is one part: its header, and a short text if it was a text."""
        headers = self.outline.top.copy()
        headers.fields = [field for field in headers.fields if not field.key.startswith("content-")]
        if self.outline.roles[0] is not Role.TEXT:
            return headers.as_bytes()
        return headers.as_bytes()[:-2] + instead_of(self.parts[0].content_type)

    def _delimiter(self, part: Part) -> bytes:
        boundary = self.parts[part.parent].content_type.boundary
        return b"--" + boundary.encode("utf-8", "replace") + b"\r\n"

    def _replaced(self, removed: set[int]) -> set[int]:
        """The texts of `removed` in whose place a short one has to stand: no other form of them is left."""
        texts = [number for number, role in enumerate(self.outline.roles) if role is Role.TEXT]
        alone = {n for n in texts if n in removed and not self._is_alternative(n)}
        shown = {above for n in texts if n in alone or n not in removed for above in self.outline.above(n)}
        for number in sorted(removed.intersection(texts) - alone):
            if self.parts[number].parent not in shown:
                alone.add(number)
                shown.update(self.outline.above(number))
        return alone

    def _is_alternative(self, number: int) -> bool:
        return self.outline.kind(self.parts[number].parent) == "multipart/alternative"

    def _result(self, removed: set[int], mail: Composed) -> Skeleton:
        leaves = {number: self.leaf(number) for number in sorted(removed)}
        changes = [*mail.changes, *self._changes(leaves)]
        return Skeleton(mail, tuple(leaves.values()), tuple(changes))

    def _changes(self, leaves: dict[int, Leaf]) -> Iterator[str]:
        if 0 in leaves and self.outline.roles[0] is Role.FILE:
            yield "The message was a file and nothing else; it travels as the attachment of an empty text."
        for number, leaf in leaves.items():
            role = self.outline.roles[number]
            if role in _READ:
                what = _READ[role]
                yield f"{what} is too large for one request to Microsoft: it travels as the file {leaf.name}."

    def leaf(self, number: int) -> Leaf:
        """What is to be known of the part to upload it."""
        part, role = self.parts[number], self.outline.roles[number] or Role.FILE
        headers, kind = self.outline.headers(number), part.content_type
        identifier, shown = content_id(headers), disposition(headers)
        encoding = "8bit" if kind.name in EMBEDDED and not part.is_leaf else part.encoding
        if kind.main == "multipart":  # without a part that could be told
            kind = ContentType()
        inline = role is Role.FILE and bool(identifier) and self._is_shown(part, shown)
        return Leaf(
            start=part.body_start,
            end=part.body_end,
            encoding=encoding,
            name=name_or_default(headers, kind, _NAMES[role]),
            content_type=kind.name,
            content_id=identifier,
            inline=inline,
            size=decoded_size(self.content, part.body_start, part.body_end, encoding),
        )

    def _is_shown(self, part: Part, shown: str) -> bool:
        """Whether a part with an identifier is there for a text; a document stays in sight all the same."""
        related = self.outline.kind(part.parent) == "multipart/related"
        if part.content_type.main == "image":
            return related or shown == "inline"
        return related and shown != "attachment"
