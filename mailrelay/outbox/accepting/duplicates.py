"""Mail that its client sends again since it never heard the 250: it is stored once and answered as before.

A repetition has the Message-ID of a message of the last minutes and the same fingerprint, that is of client,
envelope and content. Ids lead: nearly every mail has one that nobody has seen, which one look at an index
tells for all mails of a commit. That a client gives one id to different contents is noted, since Exchange is
reported to drop what it takes for a duplicate by that id alone.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from mailrelay.models import TimelineEntry
from mailrelay.outbox.accepting.storing import key_of
from mailrelay.outbox.db import clock, counters, statements
from mailrelay.outbox.errors import RepeatedError
from mailrelay.outbox.submission import Fingerprint, Submission

#: Messages of one id that a new one is compared with, the latest.
COMPARED = 20
#: Repetitions of a message that its timeline tells one by one.
TOLD = 20

#: The ids of a list that some message has.
_KNOWN = {
    "sqlite": "SELECT value FROM json_each(%s) WHERE EXISTS "
    "(SELECT 1 FROM mailrelay_message WHERE message_id_key = value)",
    "postgresql": "SELECT value FROM json_array_elements_text(%s::json) WHERE EXISTS "
    "(SELECT 1 FROM mailrelay_message WHERE message_id_key = value)",
}
#: Two relays that take one mail at a time: the second waits for the commit of the first.
_LOCK = """
    SELECT pg_advisory_xact_lock(hashtextextended(value, 0)) FROM json_array_elements_text(%s::json)
"""
#: Seconds that the clocks of two relays may differ. What was stored later than that was stored by a clock
#: that was ahead: how long ago is not known, and a second copy is better than a lost mail.
SKEW = 60
#: What failed or was withdrawn is worth another try, unless a part of it was sent.
_COUNTS = """(message.state NOT IN ('failed', 'cancelled') OR EXISTS (
    SELECT 1 FROM mailrelay_delivery part WHERE part.message_id = message.id AND part.state = 'sent'))"""
_FIRST = f"""
    SELECT id FROM mailrelay_message message WHERE message_id_key = %s AND created_at BETWEEN %s AND %s
    AND fingerprint = %s AND id <> %s AND {_COUNTS} ORDER BY created_at LIMIT 1
"""  # noqa: S608 - words of our own
_LATEST = """
    SELECT id, fingerprint FROM mailrelay_message WHERE message_id_key = %s AND id <> %s
    ORDER BY created_at DESC LIMIT %s
"""
#: Nobody takes back what was told to a client twice (`outbox.outage`).
_REPEAT = f"""
    UPDATE mailrelay_message AS message SET repeats = repeats + 1 WHERE id = %s AND {_COUNTS}
"""  # noqa: S608 - likewise
_TIMES = "SELECT repeats FROM mailrelay_message WHERE id = %s"


class Found(NamedTuple):
    """What is known of mails before they are stored."""

    #: By the id of a submission: the message that it repeats.
    repeated: dict[UUID, RepeatedError]
    #: Of these, what is stored only now itself.
    of_new: list[UUID]
    #: By the id of a submission that is new: another one of its client, of the same Message-ID.
    other_content: dict[UUID, UUID]


def among(submissions: Sequence[Submission]) -> Found:
    """Find what of `submissions` repeats a message, and put that on record, in the caller's transaction."""
    found = Found({}, [], {})
    marked = [(key_of(one.message_id), one.fingerprint, one) for one in submissions if one.fingerprint]
    if not marked:
        return found
    known = _known({key for key, _, _ in marked})
    new: dict[tuple[str, str], UUID] = {}
    for key, fingerprint, one in marked:
        first = new.get((key, fingerprint.text)) if fingerprint.seconds else None
        if first is not None:
            found.of_new.append(first)
        elif key in known and fingerprint.seconds:
            first = _repeated(key, one)
        if first is not None:
            found.repeated[one.id] = RepeatedError(first, same=True)
            continue
        new[key, fingerprint.text] = one.id
        if key in known and (other := _of_other_content(key, one)) is not None:
            found.other_content[one.id] = other
    return found


def note(found: Found) -> None:
    """Put on record what could not be before its message was stored, in the same transaction."""
    for pk in found.of_new:
        if statements.changed(_REPEAT, pk):
            _tell(pk)
    now = clock.now()
    for pk, other in found.other_content.items():
        text = (
            f"This Message-ID was that of {other.hex} as well, with other content: Exchange may drop one of "
            "them as a duplicate. Have the application give each mail its own."
        )
        TimelineEntry.objects.create(message_id=pk, at=now, text=text)
    if found.other_content:
        counters.add(counters.MESSAGE_IDS_REUSED, len(found.other_content))


def _known(keys: Iterable[str]) -> set[str]:
    """Return those of `keys` that some message has; waits while another process stores one of them."""
    # In one order, so that two relays never wait for each other.
    listed = json.dumps(sorted(keys))
    if connection.vendor == "postgresql":
        statements.every(_LOCK, listed)
    return {key for (key,) in statements.every(_KNOWN[connection.vendor], listed)}


def _repeated(key: str, one: Submission) -> UUID | None:
    """Find the message that `one` repeats and count the repetition there."""
    assert one.fingerprint is not None
    now = clock.now()
    since, until = now - timedelta(seconds=one.fingerprint.seconds), now + timedelta(seconds=SKEW)
    row = statements.first(_FIRST, key, since, until, one.fingerprint.text, one.id)
    # Between the two it may have failed, or been taken back.
    if row is None or not statements.changed(_REPEAT, row[0]):
        return None
    first = statements.uuid(row[0])
    _tell(first)
    return first


def _tell(pk: UUID) -> None:
    counters.add(counters.REPEATED)
    times = statements.first(_TIMES, pk)
    if times is not None and times[0] <= TOLD:
        text = (
            "Its client sent it again, the same in Message-ID, envelope and content, as one does that never "
            "heard the 250. It was answered 250 with this queue id; the mail is sent once."
        )
        TimelineEntry.objects.create(message_id=pk, at=clock.now(), text=text)


def _of_other_content(key: str, one: Submission) -> UUID | None:
    """Find the latest message of the same client that has this Message-ID and other content."""
    assert one.fingerprint is not None
    for pk, text in statements.every(_LATEST, key, one.id, COMPARED):
        other = Fingerprint.read(text)
        if other and other.client == one.fingerprint.client and other.content != one.fingerprint.content:
            return statements.uuid(pk)
    return None
