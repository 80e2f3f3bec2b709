"""File name and Content-ID of an attachment that travels apart from its message."""

import re

from mailrelay.address_forms import lower
from mailrelay.mime.contenttype import EMBEDDED, ContentType, parameter, parse_disposition
from mailrelay.mime.extensions import extension
from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.words import decode_words, storable

__all__ = ["content_id", "disposition", "filename", "name_or_default"]

#: Characters of a name; Exchange and every file system take fewer.
NAME_LIMIT = 255
_PATH = re.compile(r"(?:[A-Za-z]:|\.{0,2})/")
_UNUSUAL = re.compile(r"[\x00-\x1f\x7f-\x9f/\\]")


def disposition(headers: HeaderBlock) -> str:
    """`inline`, `attachment` or whatever else it says, in lower case; empty if it says nothing."""
    return parse_disposition(headers.get("Content-Disposition"))[0]


def content_id(headers: HeaderBlock) -> str:
    """The Content-ID without its angle brackets, as `cid:` URLs have it (RFC 2392)."""
    return storable((headers.get("Content-ID") or "").strip().strip("<>").strip())[:NAME_LIMIT]


def filename(headers: HeaderBlock, kind: ContentType) -> str:
    """The name of a part without folders, in RFC 2231 or 2047 or plain words; empty if it has none."""
    given = parameter(parse_disposition(headers.get("Content-Disposition"))[1], "filename")
    text = decode_words(given or parameter(kind.parameters, "name"))
    return _shortened(_UNUSUAL.sub("_", _without_folders(storable(text).strip())))


def name_or_default(headers: HeaderBlock, kind: ContentType, default: str = "attachment") -> str:
    """A name in any case: Graph takes no attachment without one. A message's tells that it is one.

    `default` is without the extension that belongs to the type.
    """
    name = filename(headers, kind)
    if kind.name in EMBEDDED:
        return name if lower(name).endswith(".eml") else _shortened(f"{name or 'message'}.eml")
    if name:
        return name
    return f"{default}{extension(kind.name)}"


def _without_folders(name: str) -> str:
    """The last of a path. A slash alone makes none: `Invoice 11/2026.pdf`."""
    if "\\" in name:
        name = name.rstrip("\\").rpartition("\\")[2]
    return name.rstrip("/").rpartition("/")[2] if _PATH.match(name) else name


def _shortened(name: str) -> str:
    """At most 255 characters, the extension kept."""
    if len(name) <= NAME_LIMIT:
        return name
    stem, dot, extension = name.rpartition(".")
    if dot and len(extension) <= 10:
        return f"{stem[: NAME_LIMIT - len(extension) - 1]}.{extension}"
    return name[:NAME_LIMIT]
