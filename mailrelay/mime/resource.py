"""A message as Graph's own resource, where Graph takes no MIME: one text, files, and what is lost by it.

https://learn.microsoft.com/graph/api/resources/message: one body, no header fields but five that begin with
X-; In-Reply-To and References are MAPI properties (PidTagInReplyToId 0x1042, PidTagInternetReferences
0x1039).
"""

from dataclasses import dataclass
from typing import Any

from mailrelay.address_forms import lower
from mailrelay.mime.addresses import parse_addresses
from mailrelay.mime.charset import text_of
from mailrelay.mime.headers import HeaderBlock, decode_words, storable
from mailrelay.mime.leaves import LeafContent, LeafReader
from mailrelay.mime.outline import Role
from mailrelay.mime.parts import Part
from mailrelay.mime.shorttext import SHORT_TEXT
from mailrelay.mime.skeleton import Dissection, Inseparable, Leaf, NotSeparableError
from mailrelay.mime.source import RandomAccess
from mailrelay.vocabulary import LargeText

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


def as_resource(
    content: RandomAccess, headers: HeaderBlock, large_text: LargeText = LargeText.FILE
) -> Resource:
    """Turn `content` into a resource; `headers` are its own as composed for sending.

    Raises NotSeparableError for what is signed or encrypted, and for more text than one request takes where
    that may not be a file.
    """
    return _Translation(content, headers, large_text).run()


class _Translation:
    def __init__(self, content: RandomAccess, headers: HeaderBlock, large_text: LargeText) -> None:
        self.content, self.headers = content, headers
        self.dissection = Dissection(content, TEXT_LIMIT, large_text)
        self.outline = self.dissection.outline
        self.losses: list[str] = []

    def run(self) -> Resource:
        if any(part.sealed and not part.opaque for part in self.outline.parts):
            raise NotSeparableError(Inseparable.SEALED)
        numbers = list(self.outline.leaves())
        texts = [number for number in numbers if self._is_text(number)]
        chosen = self._alternatives(texts)
        shown = self._shown(chosen)
        left = [number for number in numbers if number not in shown]
        message = self._message(self._body(shown[0]) if shown else _plain(SHORT_TEXT if chosen else ""))
        if len(shown) > 1:
            self.losses.append("its plain text is made again by Exchange from the other one")
        if len(texts) > len(chosen):
            self.losses.append("its further texts arrive as files")
        if any(self.outline.roles[number] is Role.CALENDAR for number in left):
            self.losses.append("its invitation arrives as a file")
        return Resource(message, tuple(self.dissection.leaf(number) for number in left), tuple(self.losses))

    def _part(self, number: int) -> Part:
        return self.outline.parts[number]

    def _is_text(self, number: int) -> bool:
        """Whether a leaf is to be read as HTML or plain text; so is a multipart without parts."""
        kind = self._part(number).content_type
        shown = kind.name in ("text/html", "text/plain") or kind.main == "multipart"
        return shown and self.outline.roles[number] is Role.TEXT

    def _alternatives(self, texts: list[int]) -> list[int]:
        """The first text, and the first of the other kind that is an alternative to it; HTML first."""
        if not texts:
            return []
        first, *others = texts
        for other in others:
            if self.outline.alternatives(first, other) and self._is_html(other) != self._is_html(first):
                return [other, first] if self._is_html(other) else [first, other]
        return [first]

    def _shown(self, chosen: list[int]) -> list[int]:
        """The texts of `chosen` that there is room for: one is shown, the other made of it.

        Where the better one is too large it is a file, and the other is shown.
        """
        fitting = [number for number in chosen if self._fits(number)]
        if len(fitting) == len(chosen):
            return chosen
        if self.dissection.texts_travel:
            self.losses.append("its text is too large for that and arrives as a file")
            return fitting
        if chosen[0] not in fitting:
            raise NotSeparableError(Inseparable.TEXT)
        return chosen

    def _fits(self, number: int) -> bool:
        part = self._part(number)
        return part.body_end - part.body_start <= TEXT_LIMIT

    def _is_html(self, number: int) -> bool:
        return self._part(number).content_type.name == "text/html"

    def _message(self, body: dict[str, str]) -> dict[str, Any]:
        headers = self.headers
        message: dict[str, Any] = {
            "subject": _text(headers, "Subject"),
            "body": body,
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

    def _body(self, number: int) -> dict[str, str]:
        part = self._part(number)
        reader = LeafReader(self.content, part.body_start, part.body_end, part.encoding)
        data = b"".join(LeafContent(reader))
        text = text_of(part.content_type, data)
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


def _plain(text: str) -> dict[str, str]:
    return {"contentType": "text", "content": text}


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
