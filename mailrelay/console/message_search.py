"""Finding messages among millions: by what people paste and what the filters choose, the newest first.

Whatever is asked, one index leads, and at most LOOKED rows of it are looked at: the cost of an answer does
not grow with what is on record. What lies beyond is reached by going on from `Found.until`.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, F, QuerySet, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Lower

from mailrelay.console.pasted import readings
from mailrelay.models import Message, NonDelivery, Recipient, SendLog
from mailrelay.models.messages import LARGE
from mailrelay.outbox.accepting.storing import KEY_LENGTH
from mailrelay.outbox.keeping import subject_index

#: Messages that a list or a search reaches; older ones are found by going on, or by a narrower search.
REACH = 1000
#: Rows of the leading index that are looked at.
LOOKED = 3000
#: How much later than its id a message may have been stored: both are made in one breath.
SLACK = timedelta(seconds=1)
HELP = (
    "Message-ID, queue id, sender's or recipient's address, client's IP address, Microsoft's request-id: the "
    "whole of it, or what it was copied with. Or words of the subject, by how they begin."
)
#: What the filters ask of a row; the leading index has brought the rest.
_COLUMNS = ("id", "created_at", "state", "sender_id", "client_id", "size")
#: What partial indexes hold, with constants: behind a parameter SQLite does not see them.
_IS_LARGE = RawSQL(f"mailrelay_message.size >= {LARGE}", (), output_field=BooleanField())  # noqa: S611 - ours
_HAS_CODE = RawSQL("NOT (mailrelay_sendlog.graph_code = '')", (), output_field=BooleanField())
_HAS_REQUEST_ID = RawSQL("NOT (mailrelay_sendlog.request_id = '')", (), output_field=BooleanField())
#: What a row of the leading index must have, where something else leads than the code.
_CODED = "SELECT 1 FROM mailrelay_sendlog s WHERE s.message_id = looked.id AND s.graph_code = %s"
_BOUNCED = "SELECT 1 FROM mailrelay_nondelivery b WHERE b.message_id = looked.id"
_QUEUE_ID = re.compile(r"([0-9a-f]{32})(?:\.\d+)*")


@dataclass(frozen=True, slots=True)
class Criteria:
    """What is looked for; what is left as it is does not narrow."""

    text: str = ""
    states: tuple[str, ...] = ()
    sender: int | None = None
    #: An SmtpClient's id; 0 is mail that came without one, from SMTP_ALLOWED_NETWORKS.
    client: int | None = None
    graph_code: str = ""
    #: Whether a report says that it bounced after it was sent.
    bounced: bool = False
    #: Bytes; LARGE or more, or 0.
    least_size: int = 0
    after: datetime | None = None
    before: datetime | None = None

    @property
    def narrows(self) -> bool:
        """Whether more than the time is asked for."""
        return self != Criteria(after=self.after, before=self.before)


@dataclass(frozen=True, slots=True)
class Found:
    """Ids of messages, the newest first; older ones than `until` were not looked at."""

    ids: tuple[UUID, ...]
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Lead:
    """Rows that an index brings, and since when they are all there are; None is since ever."""

    sources: tuple[QuerySet[Message], ...]
    floor: datetime | None


def find(asked: Criteria) -> Found:
    """Find the newest messages, at most REACH, that are all of what is asked."""
    lead = _best(asked)
    ids = _narrowed(lead, asked) if lead.sources else ()
    if len(ids) == REACH:
        return Found(ids, Message.objects.values_list("created_at", flat=True).get(pk=ids[-1]))
    return Found(ids, lead.floor)


def find_all(asked: Criteria) -> Iterator[tuple[UUID, ...]]:
    """Yield the ids of all messages that are what is asked, the newest first, REACH at most at a time."""
    found, seen = find(asked), frozenset[UUID]()
    while True:
        # Both ends of a period belong to it.
        yield tuple(pk for pk in found.ids if pk not in seen)
        if found.until is None:
            return
        instant = timedelta(microseconds=1)
        end = min(found.until, asked.before - instant) if asked.before else found.until
        asked, seen = replace(asked, before=end), frozenset(found.ids)
        found = find(asked)


def _narrowed(lead: _Lead, asked: Criteria) -> tuple[UUID, ...]:
    """Run the lead as a subquery with a limit, behind which no planner looks for another way."""
    inner: list[str] = []
    parameters: list[Any] = []
    for source in lead.sources:
        sql, values = source.values_list(*_COLUMNS)[:LOOKED].query.sql_with_params()
        inner.append(f"SELECT * FROM ({sql}) AS part")  # noqa: S608 - compiled by Django
        parameters += values
    conditions = list(_conditions(asked, lead.floor))
    where = " AND ".join(sql for sql, _ in conditions) or "1 = 1"
    parameters += [value for _, values in conditions for value in values]
    statement = (
        f"SELECT id FROM ({' UNION '.join(inner)}) AS looked WHERE {where} "  # noqa: S608 - likewise
        f"ORDER BY created_at DESC, id DESC LIMIT {REACH}"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return tuple(pk if isinstance(pk, UUID) else UUID(pk) for (pk,) in cursor.fetchall())


def _conditions(asked: Criteria, floor: datetime | None) -> Iterator[tuple[str, list[Any]]]:
    if asked.states:
        yield f"state IN ({', '.join(['%s'] * len(asked.states))})", list(asked.states)
    if asked.sender is not None:
        yield "sender_id = %s", [asked.sender]
    if asked.client is not None:
        yield ("client_id = %s", [asked.client]) if asked.client else ("client_id IS NULL", [])
    if asked.least_size:
        yield "size >= %s", [asked.least_size]
    if asked.graph_code:
        yield f"EXISTS ({_CODED})", [asked.graph_code]
    if asked.bounced:
        yield f"EXISTS ({_BOUNCED})", []
    since = max(filter(None, (asked.after, floor)), default=None)
    if since:
        yield "created_at >= %s", [_moment(since)]
    if asked.before:
        yield "created_at <= %s", [_moment(asked.before)]


def _moment(at: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(at)


# --- Leads ---------------------------------------------------------------------------------------------


def _best(asked: Criteria) -> _Lead:
    """Choose what leads: what is named if anything is, else the index that reaches furthest back."""
    if readings(asked.text):
        return _joined(_named(asked))
    if asked.graph_code:
        return _with_code(asked)
    if asked.bounced:
        return _bounced(asked)
    leads = [_joined(map(_by_index, sources)) for sources in _indexed(asked)]
    return min(leads, key=lambda lead: (lead.floor is not None, lead.floor or _LONG_AGO))


_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def _indexed(asked: Criteria) -> Iterator[tuple[QuerySet[Message], ...]]:
    """Yield the ways in: for each thing asked, the rows of its index."""
    rows = _within(asked)
    if asked.states:
        yield tuple(rows.filter(state=state) for state in asked.states)
    if asked.sender is not None:
        yield (rows.filter(sender=asked.sender),)
    if asked.client is not None:
        yield (rows.filter(client=asked.client) if asked.client else rows.filter(client__isnull=True),)
    if asked.least_size >= LARGE:
        yield (rows.filter(_IS_LARGE),)
    if not asked.narrows:
        yield (rows,)


def _within(asked: Criteria) -> QuerySet[Message]:
    return within(Message.objects.order_by("-created_at"), asked)


def within(rows: QuerySet[Message], asked: Criteria) -> QuerySet[Message]:
    """Narrow `rows` to the time that is asked for."""
    if asked.after:
        rows = rows.filter(created_at__gte=asked.after)
    return rows.filter(created_at__lte=asked.before) if asked.before else rows


def _joined(leads: Iterable[_Lead]) -> _Lead:
    """Make one lead of several, any of which may bring a row: it reaches as far as all of them do."""
    known = list(leads)
    floors = (lead.floor for lead in known if lead.floor)
    return _Lead(tuple(source for lead in known for source in lead.sources), max(floors, default=None))


def _by_index(source: QuerySet[Message]) -> _Lead:
    """Lead with rows in the order of their index, whose time is read off it where there are too many."""
    found = source.values_list("created_at", flat=True)[LOOKED - 1 : LOOKED]
    return _Lead((source,), next(iter(found), None))


def _by_ids(ids: Iterable[UUID], floor: datetime | None = None) -> _Lead:
    # Without an order, which an index on the time would serve by reading everything.
    rows = Message.objects.filter(pk__in=ids)
    return _Lead((rows,) if ids else (), floor)


# --- Names ---------------------------------------------------------------------------------------------


def _named(asked: Criteria) -> Iterator[_Lead]:
    """Yield what leads to messages that the text names, in one way or another."""
    for folded in readings(asked.text):
        yield from _named_by(folded, asked)


def _named_by(folded: str, asked: Criteria) -> Iterator[_Lead]:
    if address := _ip_address(folded):
        yield _by_index(_within(asked).filter(client_address=address))
    elif ids := _ids(folded):
        yield _by_ids(ids)
    else:
        if " " not in folded:
            yield from map(_by_index, _by_header(folded, asked))
            yield _by_recipient(folded, asked)
        if " " in folded or "@" not in folded:
            yield _by_subject(folded, asked)


def _ip_address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return None


def _ids(text: str) -> list[UUID]:
    """Find by queue id, as the client was told it or as a task's name, or by Graph's request-id."""
    if found := _QUEUE_ID.fullmatch(text):
        return [UUID(found[1])]
    try:
        guid = UUID(text)
    except ValueError:
        return []
    attempts = SendLog.objects.filter(_HAS_REQUEST_ID, request_id=str(guid))
    return [guid, *attempts.values_list("message_id", flat=True)[:LOOKED]]


def _by_header(text: str, asked: Criteria) -> Iterator[QuerySet[Message]]:
    """Yield rows by Message-ID, From, and MAIL FROM where that is another."""
    rows = _within(asked)
    yield rows.filter(message_id_key=text[:KEY_LENGTH])
    yield rows.filter(from_key=text)
    envelope = rows.alias(folded=Lower("mail_from")).filter(folded=Lower(Value(text)))
    yield envelope.exclude(mail_from=F("header_from"))


def _by_recipient(text: str, asked: Criteria) -> _Lead:
    """Lead with the order of the recipients' own index: a queue id tells its time."""
    rows = Recipient.objects.filter(address_key=text).order_by("-message_id")
    if asked.before:
        rows = rows.filter(message_id__lte=newest_id(asked.before))
    found = rows.values_list("message_id", flat=True)
    last = next(iter(found[LOOKED - 1 : LOOKED]), None)
    return _Lead((Message.objects.filter(pk__in=found[:LOOKED]),), _floor(last, asked) if last else None)


def _by_subject(text: str, asked: Criteria) -> _Lead:
    found = subject_index.matching(text, LOOKED, newest_id(asked.before) if asked.before else None)
    return _by_ids(found, _floor(found[-1], asked) if len(found) >= LOOKED else None)


def _with_code(asked: Criteria) -> _Lead:
    """Lead with Graph's code of any attempt."""
    return _by_sequels(SendLog.objects.filter(_HAS_CODE, graph_code=asked.graph_code), "started_at", asked)


def _bounced(asked: Criteria) -> _Lead:
    """Lead with the newest reports."""
    return _by_sequels(NonDelivery.objects.all(), "received_at", asked)


def _by_sequels(rows: QuerySet[Any], at: str, asked: Criteria) -> _Lead:
    """Lead with what came of messages, the newest first; what came earlier is of messages older still."""
    if asked.after:
        rows = rows.filter(**{f"{at}__gte": asked.after})
    if asked.before:
        rows = rows.filter(message_id__lte=newest_id(asked.before))
    found = list(rows.order_by(f"-{at}").values_list("message_id", at)[:LOOKED])
    floor = found[-1][1] if len(found) >= LOOKED else None
    if floor and asked.before and floor >= asked.before:
        # So much came lately of older messages that nothing is left of the time asked for.
        return _by_index(_within(asked))
    return _by_ids({pk for pk, _ in found}, floor)


def _floor(last: UUID, asked: Criteria) -> datetime:
    """Return the time from which nothing is missing where ids are looked at as far back as `last`."""
    at = time_of(last)
    safe = at + SLACK
    return at if asked.before and safe >= asked.before else safe


def graph_codes(most: int = 40) -> list[str]:
    """List the codes that attempts have had, one step of the index each."""
    codes: list[str] = []
    rows = SendLog.objects.filter(_HAS_CODE).order_by("graph_code").values_list("graph_code", flat=True)
    while len(codes) < most:
        following = rows.filter(graph_code__gt=codes[-1]) if codes else rows
        code = following.first()
        if code is None:
            break
        codes.append(code)
    return codes


def time_of(queue_id: UUID) -> datetime:
    """Return when the id was made (RFC 9562, version 7)."""
    return datetime.fromtimestamp((queue_id.int >> 80) / 1000, UTC)


def newest_id(at: datetime) -> UUID:
    """Return the greatest queue id of that time."""
    return UUID(int=(max(0, int(at.timestamp() * 1000)) + 1 << 80) - 1)
