"""iCalendar (RFC 5545) as far as it says to whom an invitation goes (RFC 5546): methods and people."""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from mailrelay.address_forms import lower, normalise
from mailrelay.mime.mailbox import is_writable

__all__ = ["SCHEDULING", "Calendar", "read_calendar"]

#: Methods, in lower case, that ask something of others (RFC 5546 section 1.4): attendees, or the organizer.
_TO_ATTENDEES: Final = frozenset({"request", "cancel", "add", "declinecounter"})
_TO_ORGANIZER: Final = frozenset({"reply", "counter", "refresh"})
SCHEDULING: Final = _TO_ATTENDEES | _TO_ORGANIZER

# A name, parameters whose quoted values may have any of the marks in them, a colon, a value.
_LINE = re.compile(r'([A-Za-z0-9-]+)((?>(?:[^":]+|"[^"]*")*)):(.*)|', re.DOTALL)
_PROPERTY = re.compile(r"\s*(BEGIN|END|METHOD|ATTENDEE|ORGANIZER)\b", re.IGNORECASE)
_EMAIL = re.compile(r';EMAIL="?([^";:]*)', re.IGNORECASE)
_LINE_END = re.compile(r"\r+\n?")
_FOLD = re.compile(r"\n[ \t]")
_ADDRESS = re.compile(r'[^\s"<>(),:;\\\[\]?]+@[^\s"<>(),:;\\\[\]?@]+')
#: Components that hold others, or say what a time is.
_WITHOUT_PEOPLE: Final = frozenset({"", "vcalendar", "vtimezone", "standard", "daylight", "valarm"})


@dataclass(slots=True)
class _Component:
    """An event or a task, say, and the people in it, as `normalise` gives them; `name` is in lower case."""

    name: str
    attendees: set[str] = field(default_factory=set)
    organizers: set[str] = field(default_factory=set)

    def asks(self, method: str) -> set[str] | None:
        """Whom `method` is sent to; None where that is a matter of opinion.

        Some send a request to an organizer who is among the attendees, and some do not.
        """
        if method in _TO_ORGANIZER:
            return self.organizers
        return None if self.organizers & self.attendees else self.attendees


@dataclass(slots=True)
class Calendar:
    """What the text of a calendar says; `clear` is whether all who read it find the same people.

    `methods` are in lower case.
    """

    methods: set[str] = field(default_factory=set)
    components: list[_Component] = field(default_factory=list)
    clear: bool = True

    def asks(self, method: str) -> set[str] | None:
        """Whom a message of that method goes to, in every reading; None where readings differ."""
        if not self.clear or self.methods - {method} or not self.components:
            return None
        first, *others = (component.asks(method) for component in self.components)
        return first if all(other == first for other in others) else None


def read_calendar(text: str) -> Calendar:
    """Read one calendar or several; takes anything, in time linear in its length.

    What is not understood of a line that names people makes the whole unclear.
    """
    reader = _Reader()
    lines = _LINE_END.sub("\n", text.replace("\0", "").lstrip("\ufeff"))
    for line in _FOLD.sub("", lines).split("\n"):
        if _PROPERTY.match(line):
            reader.take(line.strip())
    return reader.finish()


class _Reader:
    def __init__(self) -> None:
        self.calendar = Calendar()
        self.open = [_Component("")]

    def take(self, line: str) -> None:
        match = _LINE.fullmatch(line)
        if match is None or not match[1]:
            self.calendar.clear = False
            return
        name, parameters, value = lower(match[1]), match[2], match[3].strip()
        if name == "begin":
            self.open.append(_Component(lower(value)))
        elif name == "end":
            self._end(lower(value))
        elif name == "method":
            self.calendar.methods.add(lower(value))
        elif name in ("attendee", "organizer"):
            self._person(name, parameters, value)

    def finish(self) -> Calendar:
        if len(self.open) > 1:
            self.calendar.clear = False
        while self.open:
            self._close(self.open.pop())
        return self.calendar

    def _end(self, name: str) -> None:
        if len(self.open) == 1 or self.open[-1].name != name:
            self.calendar.clear = False
            return
        self._close(self.open.pop())

    def _close(self, component: _Component) -> None:
        """Keep what could be sent to somebody; an alarm that names people names others than it concerns."""
        people = component.attendees or component.organizers
        if component.name not in _WITHOUT_PEOPLE or people:
            self.calendar.components.append(component)

    def _person(self, name: str, parameters: str, value: str) -> None:
        address = _address(value)
        other = _EMAIL.search(parameters)
        if not address or (other and normalise(other[1]) != normalise(address)):
            self.calendar.clear = False
            return
        component = self.open[-1]
        people = component.attendees if name == "attendee" else component.organizers
        people.add(normalise(address))


def _address(value: str) -> str:
    """The address in a `mailto:` URL (RFC 6068); empty where it has none, several, or more than that."""
    scheme, _, rest = value.partition(":")
    address = unquote(rest)
    plain = lower(scheme) == "mailto" and _ADDRESS.fullmatch(address) and is_writable(address)
    return address if plain else ""
