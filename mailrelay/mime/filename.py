"""What a part is called, and how it is referred to: for an attachment that travels apart from its message."""

import mimetypes
import re
from urllib.parse import unquote_to_bytes

from mailrelay.mime.contenttype import ContentType, parse_parameters
from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.words import decode_bytes, decode_words, storable

__all__ = ["content_id", "disposition", "filename", "name_or_default"]

#: Characters of a name; Exchange and every file system take fewer.
NAME_LIMIT = 255
_UNUSUAL = re.compile(r"[\x00-\x1f\x7f-\x9f/\\]")
_SECTION = re.compile(r"(name|filename)(?:\*(\d{1,3}))?(\*)?")


def disposition(headers: HeaderBlock) -> str:
    """`inline`, `attachment` or whatever else it says, in lower case; empty if it says nothing."""
    return (headers.get("Content-Disposition") or "").partition(";")[0].strip().lower()


def content_id(headers: HeaderBlock) -> str:
    """The Content-ID without its angle brackets, as `cid:` URLs have it (RFC 2392)."""
    return storable((headers.get("Content-ID") or "").strip().strip("<>").strip())[:NAME_LIMIT]


def filename(headers: HeaderBlock, kind: ContentType) -> str:
    """The name of a part, in RFC 2231 or RFC 2047 or plain words; empty if it has none."""
    given = _parameter(parse_parameters(headers.get("Content-Disposition") or ""), "filename")
    text = given or _parameter(kind.parameters, "name")
    return _shortened(_UNUSUAL.sub("_", storable(text).strip()))


def name_or_default(headers: HeaderBlock, kind: ContentType) -> str:
    """A name in any case: Graph takes no attachment without one."""
    if name := filename(headers, kind):
        return name
    if kind.name in {"message/rfc822", "message/global"}:
        return "message.eml"
    return f"attachment{mimetypes.guess_extension(kind.name) or '.bin'}"


def _parameter(parameters: dict[str, str], wanted: str) -> str:
    """A parameter's value: extended (RFC 2231 sections 3 and 4) before plain."""
    sections: dict[int, tuple[str, bool]] = {}
    for key, value in parameters.items():
        match = _SECTION.fullmatch(key)
        if match and match[1] == wanted and (match[2] or match[3]):
            sections[int(match[2] or 0)] = (value, bool(match[3]))
    if 0 not in sections:
        return decode_words(parameters.get(wanted, ""))
    charset, data = "utf-8", b""
    if sections[0][1] and sections[0][0].count("'") >= 2:
        charset, _, rest = sections[0][0].split("'", 2)
        sections[0] = (rest, True)
    for number in range(len(sections)):
        if number not in sections:
            break
        value, encoded = sections[number]
        data += unquote_to_bytes(value) if encoded else value.encode("utf-8", "replace")
    return decode_bytes(data, charset or "utf-8")


def _shortened(name: str) -> str:
    """At most 255 characters, the extension kept."""
    if len(name) <= NAME_LIMIT:
        return name
    stem, dot, extension = name.rpartition(".")
    if dot and len(extension) <= 10:
        return f"{stem[: NAME_LIMIT - len(extension) - 1]}.{extension}"
    return name[:NAME_LIMIT]
