"""Delivered mail, Sent Items, Inboxes and drafts: in memory, within bounds."""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sandbox.head import decoded

if TYPE_CHECKING:
    from sandbox.drafts import Draft
    from sandbox.uploads import Session

SENT_ITEMS = 20_000  # a mailbox


@dataclass(slots=True)
class Delivered:
    """One mail that Exchange accepted; `raw` is what was submitted. Times are Unix seconds."""

    number: int
    time: float
    deliver_at: float
    app: str
    mailbox: str
    route: str  # mime, json or draft
    raw: bytes
    sha256: str
    sender: str
    subject_raw: str
    message_id: str
    assigned_message_id: str
    recipients: list[tuple[str, str]]  # (to, cc or bcc; lower-cased address)
    known_headers: frozenset[str]
    keep_unknown_headers: bool
    undeliverable: list[str] = field(default_factory=list)

    @property
    def subject(self) -> str:
        return decoded(self.subject_raw)

    def summary(self) -> dict[str, Any]:
        return {
            "seq": self.number,
            "time": iso(self.time),
            "deliver_at": iso(self.deliver_at),
            "delayed_seconds": round(max(0.0, self.deliver_at - self.time), 3),
            "app": self.app,
            "mailbox": self.mailbox,
            "route": self.route,
            "from": self.sender,
            "recipients": sorted({address for _, address in self.recipients}),
            "to": [address for kind, address in self.recipients if kind == "to"],
            "cc": [address for kind, address in self.recipients if kind == "cc"],
            "bcc": [address for kind, address in self.recipients if kind == "bcc"],
            "undeliverable": self.undeliverable,
            "subject": self.subject,
            "internet_message_id": self.message_id,
            "assigned_message_id": self.assigned_message_id,
            "sha256": self.sha256,
            "size": len(self.raw),
        }


@dataclass(slots=True)
class Item:
    """A message in Sent Items or Inbox, as far as a search wants to know it."""

    id: str
    message_id: str
    subject: str
    sender: str
    recipients: list[tuple[str, str]]  # as those of what was delivered
    visible_at: float
    raw: bytes = b""
    immutable_id: str = ""
    #: PidTagMessageClass: what tells a report of Exchange from mail.
    message_class: str = "IPM.Note"

    def resource(self) -> dict[str, Any]:
        """The message resource of Graph, cut to what can be asked for here."""
        return {
            "id": self.id,
            "internetMessageId": self.message_id,
            "subject": self.subject,
            "isDraft": False,
            "createdDateTime": iso(self.visible_at),
            "sentDateTime": iso(self.visible_at),
            "receivedDateTime": iso(self.visible_at),
            "from": {"emailAddress": {"address": self.sender}},
            **{f"{kind}Recipients": self._named(kind) for kind in ("to", "cc", "bcc")},
        }

    def _named(self, wanted: str) -> list[dict[str, Any]]:
        named = (address for kind, address in self.recipients if kind == wanted)
        return [{"emailAddress": {"name": address, "address": address}} for address in named]


class Store:
    """The last `most` mails, at most `most_bytes` bytes of them: the oldest go first, the ledger stays."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.most, self.most_bytes = most, most_bytes
        self.clear()

    def clear(self) -> None:
        self.mails: OrderedDict[int, Delivered] = OrderedDict()
        self.bytes = 0
        self.sent: dict[str, deque[Item]] = defaultdict(lambda: deque(maxlen=SENT_ITEMS))
        self.inbox: dict[str, deque[Item]] = defaultdict(lambda: deque(maxlen=1000))
        self.known_headers: dict[str, frozenset[str]] = defaultdict(frozenset)
        self.drafts: dict[str, Draft] = {}  # by either identifier
        self.sessions: dict[str, Session] = {}
        self.submitted: set[tuple[str, str]] = set()  # mailbox and Message-ID, where a second one matters
        self._closed: deque[str] = deque()

    def add(self, mail: Delivered) -> None:
        self.mails[mail.number] = mail
        self.bytes += len(mail.raw)
        while len(self.mails) > self.most or (self.bytes > self.most_bytes and len(self.mails) > 1):
            _, oldest = self.mails.popitem(last=False)
            self.bytes -= len(oldest.raw)

    def add_draft(self, draft: Draft) -> None:
        self.drafts[draft.id] = self.drafts[draft.immutable_id] = draft

    def drop_draft(self, draft: Draft) -> None:
        self.drafts.pop(draft.id, None)
        self.drafts.pop(draft.immutable_id, None)

    def close_draft(self, draft: Draft, visible_at: float) -> None:
        """It was sent: only the immutable id finds it from `visible_at` on, and its content is let go."""
        draft.is_open, draft.visible_at, draft.mime = False, visible_at, None
        draft.attachments.clear()
        self.drafts.pop(draft.id, None)
        self._closed.append(draft.immutable_id)
        if len(self._closed) > SENT_ITEMS:
            self.drafts.pop(self._closed.popleft(), None)

    def drop_sent(self, mailbox_id: str, item_id: str) -> bool:
        """Remove a message from Sent Items; False when it is not there."""
        items, now = self.sent[mailbox_id], time.time()
        found = next((item for item in items if item.id == item_id and item.visible_at <= now), None)
        if found is None:
            return False
        items.remove(found)
        self.drafts.pop(found.immutable_id, None)
        return True

    def open_drafts(self) -> int:
        return sum(key == draft.id for key, draft in self.drafts.items())

    def find_drafts(self, mailbox_id: str, message_id: str | None = None) -> list[Draft]:
        """The drafts of a mailbox that were not sent, newest first."""
        mine = (draft for key, draft in reversed(self.drafts.items()) if key == draft.id)
        return [
            draft
            for draft in mine
            if draft.mailbox == mailbox_id
            and message_id in (None, str(draft.resource.get("internetMessageId")))
        ]

    def after(self, number: int) -> list[Delivered]:
        return [mail for mail in self.mails.values() if mail.number > number]

    def learn_headers(self, mailbox_id: str, names: set[str]) -> None:
        """A JSON send makes a header name known to the mailbox: MIME may use it from then on."""
        if not names <= self.known_headers[mailbox_id]:
            self.known_headers[mailbox_id] |= names

    def find(self, folder: str, mailbox_id: str, message_id: str | None = None) -> list[Item]:
        """Items visible by now, newest first."""
        items = (self.sent if folder == "sentitems" else self.inbox)[mailbox_id]
        now = time.time()
        wanted = (item for item in reversed(items) if item.visible_at <= now)
        return [item for item in wanted if message_id is None or item.message_id == message_id]


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
