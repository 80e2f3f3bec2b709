"""An address in odd wrapping, as devices and forms write it where an author belongs.

`"Scanner <scan@example.org>"`, `Scanner [scan@example.org]`, all of it as one encoded word: no reader that
keeps to RFC 5322 finds the address. For authors alone: nobody gets mail because of what is found here.
"""

import html
import re

from mailrelay.mime.addresses import Mailbox, parse_addresses
from mailrelay.mime.mailbox import is_writable
from mailrelay.mime.words import decode_words

__all__ = ["unwrapped"]

#: Characters of an entry that is looked at; nobody's name and address are longer.
_LIMIT = 1_000
_WITHIN = r"[A-Za-z0-9_@\x80-\U0010ffff-]"
_OPENING, _CLOSING = re.compile(r"[\[({]"), re.compile(r"[\])}]")


def unwrapped(value: str) -> Mailbox | None:
    """The one address that `value`, in which no reader finds one, hides, with its name; None for none."""
    text = html.unescape(decode_words(value[:_LIMIT])).replace('"', " ").replace("\\", " ")
    for spelling in (text, _CLOSING.sub(">", _OPENING.sub("<", text))):
        found = [mailbox for mailbox in parse_addresses(spelling) if is_writable(mailbox.address)]
        if len(found) == 1 and _stands_in(found[0].address, text):
            return Mailbox(found[0].display, found[0].address, value)
    return None


def _stands_in(address: str, text: str) -> bool:
    """Whether it is there as it is, and not put together from what stands around it."""
    return re.search(f"(?<!{_WITHIN}){re.escape(address)}(?!{_WITHIN})", text) is not None
