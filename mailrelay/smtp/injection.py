"""Mail that comes otherwise than by SMTP, taken by the rules of SMTP: for threads, such as the web's.

What decides and stores is what the listener uses, in one event loop: `admission`, the spool, `hand_over`.
"""

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from mailrelay.mime.envelope import read_fields
from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.identity import author
from mailrelay.outbox.submission import IdempotencyKey
from mailrelay.routing.table import Client, RoutingTable
from mailrelay.smtp import envelope_checks, replies
from mailrelay.smtp.context import Context
from mailrelay.smtp.data import LineEnds
from mailrelay.smtp.message_checks import Arrival
from mailrelay.smtp.queueing import hand_over
from mailrelay.smtp.replies import Reply
from mailrelay.smtp.spool import Spool
from mailrelay.smtp.transaction import Peer, Transaction

T = TypeVar("T")
logger = logging.getLogger(__name__)

#: Seconds for one step in the event loop; only an event loop that has ended takes so long.
PATIENCE = 60.0
_RECIPIENT_FIELDS = ("To", "Cc", "Bcc")
_NO_RECIPIENT = Reply(
    "554 5.5.1 No recipient is named: give them with the envelope, or in To, Cc or Bcc", "sequence"
)


@dataclass(frozen=True, slots=True)
class InjectedMail:
    """A mail as it is handed in. `mail_from` and `recipients` are read from its header where they are None.

    `size` is bytes, 0 where it is not known before. `blocks` may come with whatever line ends.
    """

    client: Client
    peer: Peer
    blocks: Iterable[bytes]
    mail_from: str | None = None
    recipients: tuple[str, ...] | None = None
    size: int = 0
    #: SHA-256 in hex of the client's own key for this mail; empty where it gave none.
    key: str = ""
    #: The sender that it goes through, whatever its From; None lets the From choose.
    sender_id: int | None = None


class Injector:
    """Takes parcels in `context`, whose event loop is `loop`. Any thread but the loop's may call it."""

    def __init__(self, context: Context, loop: asyncio.AbstractEventLoop) -> None:
        self._context = context
        self._loop = loop

    def routing(self) -> RoutingTable:
        return self._context.routing()

    def take(self, mail: InjectedMail) -> Reply:
        """Decide about a mail and store it; a positive reply follows the commit, as by SMTP.

        Raises what reading `mail.blocks` raises; nothing is stored then.
        """
        seen, client, peer = self._context.client_log, mail.client, mail.peer
        seen.seen(client.id)
        reply = self._take(mail)
        if not reply.positive:
            seen.refused(peer.address, client.name, reply.about or mail.mail_from or "", reply)
            logger.info("refused: client=%s reply=%s rule=%s", peer.address, reply.code, reply.rule)
        return reply

    def _take(self, mail: InjectedMail) -> Reply:
        begun = self._run(self._begin(mail))
        if isinstance(begun, Reply):
            return begun
        transaction, spool = begun
        seen = hashlib.sha256()
        ends = LineEnds()
        try:
            for block in mail.blocks:
                seen.update(block)
                self._run(spool.write(ends.feed(block)))
                if spool.oversize or spool.put_off or spool.error:
                    break
        except BaseException:
            spool.close()
            raise
        repeat = IdempotencyKey(mail.key, fingerprint(mail, seen.hexdigest())) if mail.key else None
        return self._run(self._finish(mail, transaction, spool, ends.finish(), repeat))

    async def _begin(self, mail: InjectedMail) -> tuple[Transaction, Spool] | Reply:
        context, client = self._context, mail.client
        if context.connections.draining:
            return replies.SHUTTING_DOWN
        if context.acceptor.stalled:
            return replies.TRY_LATER
        transaction = Transaction(mail.mail_from or "", client, utf8=True, declared_size=mail.size)
        refused = envelope_checks.begin(context, client, transaction.mail_from, utf8=True, size=mail.size)
        refused = refused or self._add(transaction, mail.peer, mail.recipients or ())
        if refused is None and mail.recipients == ():
            refused = _NO_RECIPIENT
        if refused is not None:
            return refused
        spool = envelope_checks.content(context, client, mail.peer, mail.size)
        return spool if isinstance(spool, Reply) else (transaction, spool)

    async def _finish(
        self,
        mail: InjectedMail,
        transaction: Transaction,
        spool: Spool,
        rest: bytes,
        repeat: IdempotencyKey | None,
    ) -> Reply:
        context, options = self._context, self._context.options
        await spool.write(rest)
        if refused := envelope_checks.dropped(context, mail.client, spool):
            return refused
        if refused := self._address(mail, transaction, spool):
            spool.close()
            return refused
        peer, client = mail.peer, mail.client
        return await hand_over(
            context,
            Arrival(
                peer,
                client,
                transaction,
                spool,
                options.hostname,
                options.loop_token,
                repeat,
                max_recipients=options.max_recipients,
                sender_id=mail.sender_id,
            ),
        )

    def _address(self, mail: InjectedMail, transaction: Transaction, spool: Spool) -> Reply | None:
        """Read from the header what the envelope did not say."""
        if mail.mail_from is not None and mail.recipients is not None:
            return None
        headers = HeaderBlock.parse(spool.header)
        if mail.mail_from is None:
            # A Sender is the one who sent it where From names several (RFC 5322 section 3.6.2).
            named = _addresses(headers, "Sender") or author(headers).addresses
            transaction.mail_from = named[0] if named else ""
            routing = self._context.routing()
            if refused := envelope_checks.sender(routing, mail.client, transaction.mail_from):
                return refused
        if mail.recipients is None:
            found = dict.fromkeys(_addresses(headers, *_RECIPIENT_FIELDS))
            return self._add(transaction, mail.peer, found) if found else _NO_RECIPIENT
        return None

    def _add(self, transaction: Transaction, peer: Peer, addresses: Iterable[str]) -> Reply | None:
        """Add every one of `addresses`, or say why the first that cannot be is refused."""
        for address in addresses:
            reply = envelope_checks.add_recipient(self._context, transaction, peer, address)
            if not reply.positive:
                return reply
        return None

    def _run(self, step: Coroutine[Any, Any, T]) -> T:
        try:
            return asyncio.run_coroutine_threadsafe(step, self._loop).result(PATIENCE)
        except RuntimeError:
            # The loop has ended: whatever the step is, nobody will run it.
            step.close()
            raise


def fingerprint(mail: InjectedMail, content: str) -> str:
    """Give what tells this mail from another; `content` is the SHA-256 of its bytes, in hex."""
    envelope = "\0".join((mail.mail_from or "", *(mail.recipients or ())))
    return hashlib.sha256(f"{envelope}\0\0{content}".encode("utf-8", "replace")).hexdigest()


def _addresses(headers: HeaderBlock, *names: str) -> list[str]:
    return [mailbox.address for listed in read_fields(headers, *names) for mailbox in listed.mailboxes]


# --- The injector of this process ----------------------------------------------------------------------

_lock = threading.Lock()
_make: Callable[[], Injector] | None = None
_desk: Injector | None = None


def provide(make: Callable[[], Injector] | None) -> None:
    """Say how this process comes to its injector; `make` is called at the first mail. None takes it away."""
    global _make, _desk
    with _lock:
        _make, _desk = make, None


def of_process() -> Injector | None:
    """Give the injector of this process, if it has one."""
    global _desk  # noqa: PLW0603
    with _lock:
        if _desk is None and _make is not None:
            _desk = _make()
        return _desk


def beside_no_listener(context: Callable[[], Context]) -> Callable[[], Injector]:
    """Give what makes an injector with an event loop of its own, for a process without a listener."""

    def make() -> Injector:
        made = context()
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, name="injector", daemon=True).start()
        return Injector(made, loop)

    return make
