"""Bytes as text: by the charset that mail names, in whatever spelling, and by what they look like."""

import encodings.aliases
import re
from collections.abc import Iterable
from functools import lru_cache

from mailrelay.address_forms import lower

__all__ = ["codec_of", "decode_bytes", "is_useful", "read_raw"]

# Names that newer versions of Python know: every version reads a charset alike.
_NEWER = {
    "874": "cp874",
    "cp00858": "cp858",
    "cp01140": "cp1140",
    "csibm00858": "cp858",
    "csibm01140": "cp1140",
    "cseuckr": "euc_kr",
    "ebcdic_us_37_euro": "cp1140",
    "ibm00858": "cp858",
    "ibm01140": "cp1140",
    "iso_8859_8_e": "iso8859_8",
    "iso_8859_8_i": "iso8859_8",
    "ms874": "cp874",
    "pc_multilingual_850_euro": "cp858",
    "windows_31j": "cp932",
    "windows_874": "cp874",
}
_ALIASES = _NEWER | encodings.aliases.aliases
# `encodings` remembers every unknown name it is asked for, so only known names may reach it.
_WITHOUT_ALIAS = {
    "koi8_u",
    "koi8_t",
    "cp720",
    "cp737",
    "cp856",
    "cp874",
    "cp1006",
    "mac_croatian",
    "mac_romanian",
}
_KNOWN = frozenset(_ALIASES) | frozenset(_ALIASES.values()) | _WITHOUT_ALIAS
_NOT_TEXT = frozenset(
    {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec"}
)
_NOT_CHARSETS = _NOT_TEXT | {"mbcs", "oem", "idna", "punycode", "unicode_escape", "raw_unicode_escape"}
_WINDOWS = re.compile(r"(?:x_)?(?:windows|win|cp|ibm)_?([0-9]{3,4})")
#: What is sent under another name, because its characters are among it
#: (https://encoding.spec.whatwg.org/#names-and-labels).
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs",
          "tis_620": "cp874", "iso8859_9": "cp1254"}  # fmt: skip
_C1 = re.compile(rb"[\x80-\x9f]")
_LONGEST_NAME = 80
_ASCII = bytes(range(32, 127))
_BREAKS = ("\r", "\n", "\0")


def codec_of(charset: str) -> str | None:
    """The Python codec for a MIME charset name, or None for an unknown or unsuitable one."""
    return _codec(charset) if len(charset) <= _LONGEST_NAME else None


@lru_cache(maxsize=256)
def _codec(charset: str) -> str | None:
    name = lower(charset.strip()).replace("-", "_").replace(" ", "_")
    for spelling in (name, name.removeprefix("x_"), _WINDOWS.sub(r"cp\1", name)):
        codec = _ALIASES.get(spelling, spelling)
        if codec in _KNOWN and codec not in _NOT_CHARSETS:
            return codec
    return None


def decode_bytes(data: bytes, charset: str = "utf-8") -> str:
    """`data` as text: in `charset` if it fits, else UTF-8, else Western European. Never raises."""
    codec = codec_of(charset)
    for name in (codec, _WIDER.get(codec or ""), "utf-8"):
        if (text := _decoded(data, name)) is not None:
            return text
    return _western(data)


def read_raw(data: bytes, charsets: Iterable[str]) -> str | None:
    """Raw 8-bit text of a header: UTF-8 if it is that, else the first of `charsets` that it fits, else None.

    Line breaks and NUL are where they were: no charset may put a header field where none is.
    """
    for charset in ("utf-8", *filter(is_useful, charsets)):
        codec = codec_of(charset)
        for name in (codec, _WIDER.get(codec or "")):
            text = _decoded(data, name)
            if text is not None and all(text.count(mark) == data.count(mark.encode()) for mark in _BREAKS):
                return text
    return None


def read_escaped(data: bytes, charsets: Iterable[str]) -> str | None:
    """Header text in ISO-2022 escape sequences (RFC 1468), which are ASCII; None where it is nothing of it.

    The first of `charsets` that is such a charset counts, else Japanese is assumed: it alone is sent raw.
    """
    codecs = [codec for codec in map(codec_of, charsets) if codec and codec.startswith("iso2022")]
    for codec in (*codecs, "iso2022_jp_ext"):
        text = _decoded(data, codec)
        if (
            text
            and "\x1b" not in text
            and all(text.count(mark) == data.count(mark.encode()) for mark in _BREAKS)
        ):
            return text
    return None


def is_useful(charset: str) -> bool:
    """Whether `charset` tells what bytes beyond ASCII among ASCII are: it has all of ASCII, and more."""
    codec = codec_of(charset)
    return codec not in {None, "ascii"} and _decoded(_ASCII, codec) == _ASCII.decode()


def _decoded(data: bytes, codec: str | None) -> str | None:
    if codec == "latin_1":
        return _western(data)
    try:
        return data.decode(codec) if codec else None
    except (UnicodeDecodeError, LookupError, ValueError):
        return None


def _western(data: bytes) -> str:
    """Latin-1, whose control characters beyond ASCII nobody means: then it is Windows-1252."""
    if _C1.search(data):
        try:
            return data.decode("cp1252")
        except UnicodeDecodeError:
            pass
    return data.decode("latin-1")
