"""Content-Type as the parts of a message and the rules about them need it (RFC 2045 section 5)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from mailrelay.address_forms import lower
from mailrelay.mime.decoding import decode_bytes

_VALUE_LIMIT = 65_536  # characters; nobody's Content-Type is longer
_TYPE = re.compile(r"[ \t]*([^\s/;()\"]+)[ \t]*/[ \t]*([^\s/;()\"]+)")
_PARAMETER = re.compile(
    r';[ \t\r\n]*([^\s=;"]+)[ \t]*=[ \t]*(?:"((?>[^"\\]*(?:\\.[^"\\]*)*))"|([^;]*))', re.DOTALL
)
_SECTION = re.compile(r"([^*]+)(?:\*([0-9]{1,3}))?(\*)?")
_TOKEN = re.compile(r'[^\s"]*')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
#: In names a backslash before anything else parts folders: programs write Windows' paths as they are.
_ESCAPED_IN_NAME = re.compile(r'\\(["\\])')
_DISPOSITION = re.compile(r'[ \t]*([^\s;="]+)(?=[ \t]*(?:;|\Z)|[ \t]+[^\s;="]+[ \t]*=)')

#: Parameters that people's words stand in, though not in quotes: spaces belong to them.
_NAMES = frozenset({"name", "filename"})

#: Messages that travel as parts of others.
EMBEDDED = frozenset({"message/rfc822", "message/global"})
SIGNED_TYPES = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
SEALED_TYPES = SIGNED_TYPES | {"multipart/signed", "multipart/encrypted"}


@dataclass(slots=True, frozen=True)
class ContentType:
    """A media type in lower case and its parameters, names in lower case."""

    name: str = "text/plain"
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def main(self) -> str:
        """The part before the slash."""
        return self.name.partition("/")[0]

    @property
    def boundary(self) -> str:
        """The boundary of a multipart; empty if there is none."""
        return parameter(self.parameters, "boundary").rstrip() if self.main == "multipart" else ""

    @property
    def charset(self) -> str:
        """The charset that is declared, in lower case; empty if there is none."""
        return lower(parameter(self.parameters, "charset").strip())

    @property
    def is_signed(self) -> bool:
        """Whether a change of the author would be seen: multipart/signed, S/MIME but for enveloped data."""
        if self.name in SIGNED_TYPES:
            return lower(self.parameters.get("smime-type", "")) not in {
                "enveloped-data",
                "authenveloped-data",
            }
        return self.name == "multipart/signed"

    @property
    def is_sealed(self) -> bool:
        """Whether nothing within may be changed: signed or encrypted."""
        return self.name in SEALED_TYPES


def parse_content_type(value: str | None, default: str = "text/plain") -> ContentType:
    """The media type of an unfolded value; `default` if it cannot be read (RFC 2045 section 5.2)."""
    match = _TYPE.match(value or "")
    if not value or not match:
        return ContentType(default, _parameters_behind(_before_parameters(value or "")))
    return ContentType(lower(f"{match[1]}/{match[2]}"), _parameters_behind(value[match.end() :]))


def parse_disposition(value: str | None) -> tuple[str, dict[str, str]]:
    """`inline`, `attachment` or whatever a Content-Disposition says, in lower case, and its parameters.

    The type is empty where a value has none: `filename=scan.pdf`.
    """
    match = _DISPOSITION.match(value or "")
    if not value or not match:
        return "", _parameters_behind(_before_parameters(value or ""))
    return lower(match[1]), _parameters_behind(value[match.end() :])


def _before_parameters(value: str) -> str:
    """What `value`, whose type cannot be read, has of parameters: all of it, or from its semicolon on."""
    first, mark, rest = value.partition(";")
    return value if "=" in first else mark + rest


def _parameters_behind(text: str) -> dict[str, str]:
    text = text.lstrip()  # a semicolon is forgotten at times
    return parse_parameters(text if text[:1] == ";" else f";{text}")


def is_readable(value: str | None) -> bool:
    """Whether a Content-Type names a type and a subtype."""
    return bool(value and _TYPE.match(value))


def is_usable(value: str | None) -> bool:
    """Whether a Content-Type names a type, and for a multipart what its parts lie between."""
    kind = parse_content_type(value)
    return is_readable(value) and (kind.main != "multipart" or bool(kind.boundary))


def parse_parameters(value: str) -> dict[str, str]:
    """The parameters behind the first semicolon; of two with one name the first counts.

    A name without quotes, and a value whose quote is never closed, goes to the next semicolon.
    """
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(value[:_VALUE_LIMIT]):
        key = lower(match[1])
        found.setdefault(key, _bare(key, match[3]) if match[2] is None else _unescaped(key, match[2]))
    return found


def _unescaped(key: str, text: str) -> str:
    escaped = _ESCAPED_IN_NAME if key.partition("*")[0] in _NAMES else _ESCAPED
    return escaped.sub(r"\1", text)


def parameter(parameters: Mapping[str, str], wanted: str) -> str:
    """A parameter's value: continued and extended (RFC 2231 sections 3 and 4) before plain; else empty."""
    sections: dict[int, tuple[str, bool]] = {}
    for key, value in parameters.items():
        match = _SECTION.fullmatch(key)
        if match and match[1] == wanted and (match[2] or match[3]):
            sections[int(match[2] or 0)] = (value, bool(match[3]))
    if 0 not in sections:
        return parameters.get(wanted, "")
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


def _bare(key: str, text: str) -> str:
    if text.startswith('"') or key.partition("*")[0] in _NAMES:
        return text.strip().strip('"')
    return (_TOKEN.match(text) or [""])[0]
