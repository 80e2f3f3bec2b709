"""Finding messages among millions: exact, on indexed columns alone, the newest first."""

import ipaddress
import re
from typing import cast
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

from mailrelay.models import Message, SendLog

#: Messages that a list or a search reaches; older ones are found by a filter or a narrower search.
REACH = 1000
HELP = (
    "Message-ID, queue id, sender's or recipient's address, client's IP address, or Microsoft's request-id: "
    "the whole of it, with or without angle brackets."
)
_QUEUE_ID = re.compile(r"([0-9a-f]{32})(?:\.\d+)?")


def search(rows: QuerySet[Message], term: str) -> QuerySet[Message]:
    """Narrow `rows`, which come filtered and newest first, to the newest REACH that `term` names exactly."""
    folded = term.strip().strip("<>").strip().lower()
    if not folded:
        return rows
    if address := _ip_address(folded):
        return rows.filter(client_address=address)
    return rows.filter(pk__in=_by_id(folded) | _by_header(rows, folded) | _by_recipient(rows, folded))


def _ip_address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        return None


def _by_id(text: str) -> set[UUID]:
    """Find by queue id, as the client was told it or as a task's name, or by Graph's request-id."""
    if found := _QUEUE_ID.fullmatch(text):
        return {UUID(found[1])}
    try:
        guid = UUID(text)
    except ValueError:
        return set()
    attempts = SendLog.objects.filter(request_id=str(guid)).exclude(request_id="")
    return {guid, *attempts.values_list("message_id", flat=True)[:REACH]}


def _by_header(rows: QuerySet[Message], text: str) -> set[UUID]:
    return {
        pk
        for column in ("message_id_key", "from_key")
        for pk in rows.filter(**{column: text}).values_list("pk", flat=True)[:REACH]
    }


def _by_recipient(rows: QuerySet[Message], text: str) -> set[UUID]:
    """Find by recipient in the order of the recipients' own index: a queue id tells its time."""
    named = rows.filter(recipients__address_key=text).order_by("-recipients__message_id")
    return set(named.values_list("pk", flat=True)[:REACH])


class ReachPaginator(Paginator):  # type: ignore[type-arg]
    """Pages over the newest REACH rows: nobody counts a million to print a page of fifty."""

    @cached_property
    def count(self) -> int:
        return int(cast("QuerySet[Message]", self.object_list).order_by()[:REACH].count())
