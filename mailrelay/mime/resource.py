"""A message as Graph's own resource, where Graph takes no MIME: one text, files, and what is lost by it.

https://learn.microsoft.com/graph/api/resources/message: one body, no header fields but five that begin with
X-; In-Reply-To and References are MAPI properties (PidTagInReplyToId 0x1042, PidTagInternetReferences
0x1039).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mailrelay.mime.addresses import parse_addresses
from mailrelay.mime.charset import charset_of, says_nothing
from mailrelay.mime.contenttype import EMBEDDED
from mailrelay.mime.decoding import decode_bytes
from mailrelay.mime.headers import HeaderBlock, decode_words, storable
from mailrelay.mime.leaves import LeafContent, LeafReader
from mailrelay.mime.parts import Part
from mailrelay.mime.skeleton import Dissection, Inseparable, Leaf, NotSeparableError
from mailrelay.mime.source import RandomAccess
from mailrelay.spelling import lower

__all__ = ["Resource", "as_resource"]

#: Bytes of the text that a request surely has room for, escaped as it has to be.
TEXT_LIMIT = 1_048_576
MOST_HEADERS = 5
_LISTS = {"To": "toRecipients", "Cc": "ccRecipients", "Bcc": "bccRecipients", "Reply-To": "replyTo"}
_PROPERTIES = {"In-Reply-To": "String 0x1042", "References": "String 0x1039"}
#: Fields that the resource has room for, or that Exchange writes itself.
_CARRIED = frozenset(
    {
        *(name.lower() for name in (*_LISTS, *_PROPERTIES)),
        *("from", "sender", "subject", "message-id", "date", "mime-version", "importance", "received"),
        *("return-path", "x-priority", "disposition-notification-to", "return-receipt-to"),
    }
)
_IMPORTANCE = {"high": "high", "low": "low", "1": "high", "2": "high", "4": "low", "5": "low"}


@dataclass(frozen=True, slots=True)
class Resource:
    """The resource, the files that belong to it, and a sentence for each loss."""

    message: dict[str, Any]
    leaves: tuple[Leaf, ...]
    losses: tuple[str, ...]


def as_resource(content: RandomAccess, headers: HeaderBlock) -> Resource:
    """Turn `content` into a resource; `headers` are its own as composed for sending.

    Raises NotSeparableError for what is signed or encrypted, and for more text than one request takes.
    """
    return _Translation(content, headers).run()


class _Translation:
    def __init__(self, content: RandomAccess, headers: HeaderBlock) -> None:
        self.content, self.headers = content, headers
        self.dissection = Dissection(content, TEXT_LIMIT)
        self.losses: list[str] = []

    def run(self) -> Resource:
        if any(part.sealed and not part.opaque for part in self.dissection.parts):
            raise NotSeparableError(Inseparable.SEALED)
        numbers = list(self._leaves())
        texts = [number for number in numbers if self._is_text(number)]
        chosen = self._alternatives(texts)
        left = [number for number in numbers if number not in chosen]
        message = self._message(chosen[0] if chosen else None)
        if len(chosen) > 1:
            self.losses.append("its plain text is made anew by Exchange from the other one")
        if len(texts) > len(chosen):
            self.losses.append("its further texts arrive as files")
        if any(self._part(number).content_type.name == "text/calendar" for number in left):
            self.losses.append("its invitation arrives as a file")
        return Resource(message, tuple(self.dissection.leaf(number) for number in left), tuple(self.losses))

    def _part(self, number: int) -> Part:
        return self.dissection.parts[number]

    def _leaves(self) -> Iterator[int]:
        """The parts that are text or files, a forwarded message as one."""
        within: set[int] = set()
        for number, part in enumerate(self.dissection.parts):
            if part.parent in within or (
                part.parent >= 0 and self._part(part.parent).content_type.name in EMBEDDED
            ):
                within.add(number)
            elif part.is_leaf or part.content_type.name in EMBEDDED:
                yield number

    def _is_text(self, number: int) -> bool:
        """Whether a leaf is to be read as HTML or plain text; so is a multipart without parts."""
        part = self._part(number)
        kind = part.content_type
        shown = kind.name in ("text/html", "text/plain") or (kind.main == "multipart" and not part.opaque)
        return shown and not self.dissection.is_file(number)

    def _alternatives(self, texts: list[int]) -> list[int]:
        """The first text, and the first of the other kind that is an alternative to it; HTML first."""
        if not texts:
            return []
        first, *others = texts
        around = list(self._above(first))
        for other in others:
            common = next((number for number in self._above(other) if number in around), -1)
            alternative = common >= 0 and self._part(common).content_type.name == "multipart/alternative"
            if alternative and self._is_html(other) != self._is_html(first):
                return [other, first] if self._is_html(other) else [first, other]
        return [first]

    def _above(self, number: int) -> Iterator[int]:
        """The containers that a part is in, the innermost first."""
        while (number := self._part(number).parent) >= 0:
            yield number

    def _is_html(self, number: int) -> bool:
        return self._part(number).content_type.name == "text/html"

    def _message(self, text: int | None) -> dict[str, Any]:
        headers = self.headers
        message: dict[str, Any] = {
            "subject": _text(headers, "Subject"),
            "body": self._body(text),
            "internetMessageId": (headers.get("Message-ID") or "").strip(),
        }
        for name, key in _LISTS.items():
            if people := [p for value in headers.get_all(name) for p in _people(value)]:
                message[key] = people
        if authors := _people(headers.get("From") or ""):
            message["from"] = authors[0]
        word = _first_word(headers, "Importance") or _first_word(headers, "X-Priority")
        if word in _IMPORTANCE:
            message["importance"] = _IMPORTANCE[word]
        message |= _receipts(headers)
        extended = [
            {"id": key, "value": value}
            for name, key in _PROPERTIES.items()
            if (value := (headers.get(name) or "").strip())
        ]
        if extended:
            message["singleValueExtendedProperties"] = extended
        if custom := self._custom():
            message["internetMessageHeaders"] = custom
        return message

    def _body(self, number: int | None) -> dict[str, str]:
        if number is None:
            return {"contentType": "text", "content": ""}
        part = self._part(number)
        if part.body_end - part.body_start > TEXT_LIMIT:
            raise NotSeparableError(Inseparable.TEXT)
        reader = LeafReader(self.content, part.body_start, part.body_end, part.encoding)
        data = b"".join(LeafContent(reader))
        charset = part.content_type.charset
        text = decode_bytes(data, charset_of(part.content_type, data) if says_nothing(charset) else charset)
        kind = "html" if self._is_html(number) else "text"
        return {"contentType": kind, "content": storable(text)}

    def _custom(self) -> list[dict[str, str]]:
        """The X- fields that there is room for; the others are lost by name."""
        kept: list[dict[str, str]] = []
        lost: list[str] = []
        for field in self.headers.fields:
            if field.key in _CARRIED or field.key.startswith("content-"):
                continue
            if field.key.startswith("x-") and len(kept) < MOST_HEADERS:
                kept.append({"name": field.name, "value": storable(decode_words(field.value))})
            elif field.name not in lost:
                lost.append(field.name)
        if lost:
            self.losses.append(f"these header fields are not in it: {', '.join(lost[:20])}")
        return kept


def _people(value: str) -> list[dict[str, Any]]:
    return [
        {"emailAddress": {"address": found.address} | ({"name": found.display} if found.display else {})}
        for found in parse_addresses(value)
        if "@" in found.address
    ]


def _receipts(headers: HeaderBlock) -> dict[str, bool]:
    wanted = {
        "isReadReceiptRequested": "Disposition-Notification-To",
        "isDeliveryReceiptRequested": "Return-Receipt-To",
    }
    return {key: True for key, name in wanted.items() if headers.get(name)}


def _text(headers: HeaderBlock, name: str) -> str:
    return storable(" ".join(decode_words(headers.get(name) or "").split()))


def _first_word(headers: HeaderBlock, name: str) -> str:
    return lower((headers.get(name) or "").partition("(")[0].strip())
