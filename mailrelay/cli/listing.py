"""Messages as rows, oldest first: read in pages by key, so that memory and locks stay small.

No cursor is open between pages. A listing that waits in a pager would otherwise keep SQLite's write-ahead log
from being folded back, and it would grow for as long as the pager is open.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from mailrelay.cli.errors import CliError
from mailrelay.models import Delivery, Message, Recipient, SenderConfig, SendLog
from mailrelay.outbox.keeping import message_state
from mailrelay.status.messages import shown_state
from mailrelay.vocabulary import IN_FLIGHT_STATES, OPEN_STATES, State

#: Messages that are read at once; each may have a thousand recipients.
PAGE = 200
#: The word that stands for every state in which something still has to happen.
OPEN = "open"
STATES = (OPEN, *(state.value for state in State))


@dataclass(frozen=True, slots=True)
class Row:
    """One message. `size` is bytes as received; `attempts` is requests to Graph that were begun."""

    id: str
    state: State
    message_id: str
    mail_from: str
    recipients: list[str]
    sender: str
    size: int
    created_at: datetime
    next_attempt_at: datetime | None
    attempts: int
    last_error: str | None

    def as_json(self) -> dict[str, object]:
        """Give the row for `json.dumps`: times in ISO 8601, UTC; null for what there is not."""
        return {
            "id": self.id,
            "state": self.state.value,
            "message_id": self.message_id,
            "mail_from": self.mail_from,
            "recipients": self.recipients,
            "sender": self.sender,
            "size": self.size,
            "created_at": iso(self.created_at),
            "next_attempt_at": iso(self.next_attempt_at),
            "attempts": self.attempts,
            "last_error": self.last_error,
        }


def iso(at: datetime | None) -> str | None:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def rows(state: str | None = None, sender: str | None = None, limit: int | None = None) -> Iterator[Row]:
    """Yield messages, oldest first.

    `state` is one of STATES, `sender` a sender's name; None is any. Raises CliError for a name that no
    sender has.
    """
    chosen = _of_sender(_in_state(Message.objects.all(), state), sender)
    given, rest = 0, chosen
    while page := _page(rest, PAGE if limit is None else min(PAGE, limit - given)):
        yield from _rows(page)
        given += len(page)
        rest = chosen.filter(_after(page[-1]))


def row(message_id: UUID) -> Row:
    """Give one message. Raises Message.DoesNotExist."""
    return next(iter(_rows([Message.objects.select_related("sender").get(pk=message_id)])))


def _in_state(messages: QuerySet[Message], state: str | None) -> QuerySet[Message]:
    if state is None:
        return messages
    if state == OPEN:
        return messages.filter(state__in=OPEN_STATES)
    if state == State.SENDING:
        return messages.filter(pk__in=_messages_in(State.SENDING))
    if state == State.RESERVED:
        return messages.filter(pk__in=_messages_in(State.RESERVED)).exclude(
            pk__in=_messages_in(State.SENDING)
        )
    in_flight = Delivery.objects.filter(message=OuterRef("pk"), state__in=IN_FLIGHT_STATES)
    return messages.filter(~Exists(in_flight), state=state)


def _messages_in(state: State) -> "QuerySet[Delivery, UUID]":
    return Delivery.objects.filter(state=state).values_list("message_id", flat=True)


def _of_sender(messages: QuerySet[Message], name: str | None) -> QuerySet[Message]:
    if name is None:
        return messages
    found = SenderConfig.objects.filter(name=name).values_list("pk", flat=True).first()
    if found is None:
        known = ", ".join(SenderConfig.objects.order_by("name").values_list("name", flat=True)[:20])
        raise CliError(f"There is no sender named {name!r}. There is: {known or 'none at all'}.")
    return messages.filter(sender_id=found)


def _after(last: Message) -> Q:
    """Match what follows `last`: an index seeks to the first bound, the rest tells equal times apart."""
    return Q(created_at__gte=last.created_at) & (Q(created_at__gt=last.created_at) | Q(pk__gt=last.pk))


def _page(chosen: QuerySet[Message], size: int) -> list[Message]:
    return list(chosen.select_related("sender").order_by("created_at", "pk")[:size])


def _rows(page: list[Message]) -> Iterator[Row]:
    """Yield rows for `page` with three queries, however many messages it has."""
    ids = [message.pk for message in page]
    recipients: dict[UUID, list[str]] = defaultdict(list)
    for message_id, address in (
        Recipient.objects.filter(message__in=ids).order_by("pk").values_list("message_id", "address")
    ):
        recipients[message_id].append(address)
    deliveries: dict[UUID, list[Delivery]] = defaultdict(list)
    for delivery in Delivery.objects.filter(message__in=ids).order_by("pk"):
        deliveries[delivery.message_id].append(delivery)
    log = SendLog.objects.filter(message__in=ids).order_by().values_list("message_id")
    attempts = dict(log.annotate(Count("pk")))
    for message in page:
        yield _row(message, recipients[message.pk], deliveries[message.pk], attempts.get(message.pk, 0))


def _row(message: Message, recipients: list[str], deliveries: list[Delivery], attempts: int) -> Row:
    return Row(
        id=message.queue_id,
        state=shown_state(message, deliveries),
        message_id=message.message_id,
        mail_from=message.mail_from,
        recipients=recipients,
        sender=message.sender.name,
        size=message.size,
        created_at=message.created_at,
        next_attempt_at=min((row.next_attempt_at for row in deliveries if row.next_attempt_at), default=None),
        attempts=attempts,
        last_error=next(filter(None, (row.last_error for row in _pressing_first(deliveries))), None),
    )


def _pressing_first(deliveries: list[Delivery]) -> list[Delivery]:
    order = [*message_state.ORDER, *IN_FLIGHT_STATES]
    return sorted(deliveries, key=lambda row: order.index(State(row.state)))
