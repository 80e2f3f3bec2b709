"""Telling a channel: by mail through a sender that works, or by a webhook."""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr

from django.conf import settings

from mailrelay.models import Alert, AlertChannel, SenderConfig
from mailrelay.models.encrypted import WrongFieldKeyError
from mailrelay.notify import webhook
from mailrelay.notify.episodes import NEW, EpisodeChange, note
from mailrelay.notify.payloads import DOCUMENTS, Digest, lines
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.holding import able_senders
from mailrelay.outbox.scheduling import scheduler
from mailrelay.outbox.settling import reports
from mailrelay.outbox.settling.reports import OwnMail
from mailrelay.vocabulary import Channel, Condition, Report

log = logging.getLogger(__name__)

#: After a failure the wait is this long, doubled with each.
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)


def tell(channel: AlertChannel, changes: list[EpisodeChange], troubled: Iterable[int], now: datetime) -> bool:
    """Tell `channel` of `changes`, in one message; say whether it was taken. `troubled`: not by these."""
    reason = _send(
        channel, Digest(settings.SMTP_HOSTNAME, changes), troubled, lambda: note(channel, changes, now)
    )
    if not reason:
        log.info("told %s of %d matters", channel.name, len(changes))
        return True
    log.warning("%s could not be told about %d matters: %s", channel.name, len(changes), reason)
    wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(channel.failures, 10))
    columns = {"failures": channel.failures + 1, "last_error": reason[:300], "next_at": now + wait}
    row = AlertChannel.objects.filter(pk=channel.pk)
    write(Move.REPORT, lambda: row.update(**columns), durable=False)
    return False


def test(channel: AlertChannel, asked_by: str) -> str:
    """Send `channel` a test; return why it was not taken, empty if it was."""
    now = clock.now()
    alert = Alert(
        key="test",
        condition=Condition.NO_WORKER,
        subject="A test: nothing is the matter",
        text=f"{asked_by} tries whether {channel.name} gets what the mail gateway has to tell.",
        began_at=now,
        seen_at=now,
    )
    return _send(channel, Digest(settings.SMTP_HOSTNAME, [EpisodeChange(alert, NEW)]), (), lambda: None)


def _send(channel: AlertChannel, digest: Digest, troubled: Iterable[int], noted: Callable[[], None]) -> str:
    """Send a message, and run `noted` in a transaction once it is; return why it was not."""
    if channel.kind == Channel.EMAIL:
        return _write_to(channel.address or settings.OPERATIONS_ADDRESS, digest, troubled, noted)
    key = f"{channel.pk}:{int(clock.now().timestamp())}"
    try:
        url = channel.url
    except WrongFieldKeyError:
        return "none of FIELD_ENCRYPTION_KEYS opens its URL: enter it again"
    reason = webhook.post(url, DOCUMENTS[Channel(channel.kind)](digest), key)
    if not reason:
        write(Move.REPORT, noted)
    return reason


def _write_to(address: str, digest: Digest, troubled: Iterable[int], noted: Callable[[], None]) -> str:
    if not address:
        return "no address is set: give one, or set OPERATIONS_ADDRESS"
    sender = _carrier(frozenset(troubled))
    if sender is None:
        return "no active sender could carry the mail"
    own_mail = OwnMail(
        about=None,
        kind=Report.ALERT,
        to=address,
        sender_id=sender.pk,
        mailbox_id=sender.mailbox_id,
        mailbox_address=sender.mailbox.address,
        subject=f"[{digest.host}] {digest.title}"[:200],
        hostname=digest.host,
    )
    reports.send(own_mail.with_content(_compose(own_mail, digest)), noted)
    scheduler.wake(sender.mailbox_id)
    return ""


def _carrier(troubled: frozenset[int]) -> SenderConfig | None:
    """Choose a sender that works and is in no trouble, else any: its mail goes once it is fixed."""
    senders = able_senders.in_use().filter(paused_at__isnull=True)
    able = senders.filter(able_senders.can_send(clock.now()))
    return able.exclude(pk__in=troubled).first() or able.first() or senders.first()


def _compose(own_mail: OwnMail, digest: Digest) -> bytes:
    mail = EmailMessage()
    mail["From"] = formataddr(("Mail gateway", own_mail.mailbox_address))
    mail["To"] = own_mail.to
    mail["Subject"] = " ".join(own_mail.subject.split())
    mail["Date"] = format_datetime(clock.now())
    mail["Message-ID"] = f"<{own_mail.message_id}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content("\n".join(lines(digest)))
    return mail.as_bytes(policy=SMTP)
