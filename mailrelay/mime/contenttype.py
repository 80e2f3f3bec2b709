"""Content-Type as the parts of a message and the rules about them need it (RFC 2045 section 5)."""

import re
from dataclasses import dataclass, field

_VALUE_LIMIT = 65_536  # characters; nobody's Content-Type is longer
_TYPE = re.compile(r"[ \t]*([^\s/;()\"]+)[ \t]*/[ \t]*([^\s/;()\"]+)")
_PARAMETER = re.compile(r';[ \t\r\n]*([^\s=;"]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*+)"|([^\s;"]*))', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

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
        return self.parameters.get("boundary", "").rstrip() if self.main == "multipart" else ""

    @property
    def is_signed(self) -> bool:
        """Whether a change of the author would be seen: multipart/signed, S/MIME but for enveloped data."""
        if self.name in SIGNED_TYPES:
            return self.parameters.get("smime-type", "").lower() not in {
                "enveloped-data",
                "authenveloped-data",
            }
        return self.name == "multipart/signed"

    @property
    def is_sealed(self) -> bool:
        """Whether nothing within may be changed: signed or encrypted."""
        return self.name in SEALED_TYPES


def parse_content_type(value: str | None, default: str = "text/plain") -> ContentType:
    """The media type of an unfolded value; what cannot be read is `default` (RFC 2045 section 5.2)."""
    if not value or not (match := _TYPE.match(value)):
        return ContentType(default)
    return ContentType(f"{match[1]}/{match[2]}".lower(), parse_parameters(value))


def parse_parameters(value: str) -> dict[str, str]:
    """The parameters behind the first semicolon; of two with one name the first counts."""
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(value[:_VALUE_LIMIT]):
        text = match[3] if match[2] is None else _ESCAPED.sub(r"\1", match[2])
        found.setdefault(match[1].lower(), text)
    return found
