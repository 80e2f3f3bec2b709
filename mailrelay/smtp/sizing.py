"""Computes the size of a mail as it is sent, and its route, before the 250."""

import threading
from collections.abc import Sequence
from dataclasses import replace

from mailrelay.address_forms import lower
from mailrelay.mime.compose import DIRECT_LIMIT, HEADER_LIMIT, Composed, compose, compose_headers
from mailrelay.mime.headers import HeaderBlock
from mailrelay.mime.invitations import InvitationError, mentions_calendar, settle_invitations
from mailrelay.mime.skeleton import Dissection, NotSeparableError
from mailrelay.outbox.submission import CHUNK_SIZE, Submission
from mailrelay.routing.table import RoutingTable, Sender
from mailrelay.smtp.policy import Resolution
from mailrelay.smtp.replies import Reply
from mailrelay.smtp.spool import Spool
from mailrelay.vocabulary import Invitations, LargeMail, Route

#: Room for what composing adds to any message: Message-ID, Date, MIME-Version, From, Reply-To.
MARGIN = 8 * 1024
#: What a raw byte of a file name becomes at most, %XX of each byte of its UTF-8; base64 makes less of it.
RAW_GROWTH = 6
#: What relabelling many parts may add.
PARTS_MARGIN = 640 * 1024
#: The rule of a refusal that may be another in a moment.
UNKNOWN_YET = "large-unknown"

#: One whole message in memory at a time: several threads would not compose any faster.
_COMPOSING = threading.Lock()


def routed(
    spool: Spool, headers: HeaderBlock, submission: Submission, resolved: Resolution
) -> Submission | Reply:
    """Give the submission its route by its size as it will be sent, or say why none carries it."""
    limit = min(resolved.sender.direct_limit, DIRECT_LIMIT)
    calendar = _may_have_calendar(spool, headers, resolved.sender)
    if not calendar and _surely_fits(spool, submission, limit):
        return submission
    try:
        size, header_size = _composed_size(spool, headers, submission, resolved, calendar=calendar)
    except InvitationError as error:
        return _uninvited(error)
    if header_size > HEADER_LIMIT:
        return Reply(
            f"552 5.3.4 The header of the message would have {header_size} bytes as it is sent; Exchange "
            f"takes {HEADER_LIMIT}",
            "header-size",
        )
    if size <= limit:
        return submission
    return _by_large_route(spool, size, submission, resolved)


def declared(routing: RoutingTable, mail_from: str, size: int) -> Reply | None:
    """Refuse the SIZE of MAIL when no sender can send as much: the From may still choose any of them."""
    if not routing.senders or any(_may_carry(sender, size) for sender in routing.senders):
        return None
    sender = routing.sender_for(mail_from) or routing.senders[0]
    return _mailbox_limit(sender, size) if sender.large else _no_large_route(sender, size)


def _may_carry(sender: Sender, size: int) -> bool:
    if sender.unreadable or not (sender.large or sender.large_known):
        return True
    # The header may lose something on its way: it is DATA that decides close to the limit.
    return size <= (sender.max_size if sender.large else sender.direct_limit) + HEADER_LIMIT


def _surely_fits(spool: Spool, submission: Submission, limit: int) -> bool:
    added = sum(len(address.encode()) + 4 for address in submission.recipients) + MARGIN
    most = spool.size + 2 * spool.header_size + added
    if spool.clean and most <= limit and 3 * spool.header_size + added <= HEADER_LIMIT:
        return True
    header = RAW_GROWTH * spool.header_size + added
    return header <= HEADER_LIMIT and most * RAW_GROWTH + PARTS_MARGIN <= limit


def _by_large_route(
    spool: Spool, size: int, submission: Submission, resolved: Resolution
) -> Submission | Reply:
    sender = resolved.sender
    if not sender.large:
        return _no_large_route(sender, size)
    if spool.size > sender.max_size:
        return _mailbox_limit(sender, spool.size)
    try:
        with _COMPOSING:
            dissection = Dissection(spool, sender.direct_limit, sender.large_text)
            dissection.parting(lambda raw: _composed(raw, submission, resolved))
    except NotSeparableError as error:
        return Reply(
            f"552 5.3.4 The message would have {size} bytes as it is sent; Microsoft Graph takes "
            f"{sender.direct_limit} at once, and this one cannot go in parts: {error}",
            "inseparable",
        )
    except InvitationError as error:
        return _uninvited(error)
    return replace(submission, route=Route.LARGE)


def _no_large_route(sender: Sender, size: int) -> Reply:
    why, rule = "its application may not write drafts (Mail.ReadWrite)", "sendable-size"
    if sender.large_mail == LargeMail.OFF:
        why = "large mail is switched off for it"
    elif not sender.large_known:
        why, rule = (
            "it is not known yet whether its application may write drafts (Mail.ReadWrite)",
            UNKNOWN_YET,
        )
    return Reply(
        f"552 5.3.4 The message would have {size} bytes as it is sent to Microsoft Graph; sender "
        f"{sender.name} sends at most {sender.direct_limit}, since {why}",
        rule,
    )


def _mailbox_limit(sender: Sender, size: int) -> Reply:
    return Reply(
        f"552 5.3.4 The message has {size} bytes; the mailbox {sender.mailbox_address} sends at most "
        f"{sender.max_size}",
        "mailbox-size",
    )


def _uninvited(error: InvitationError) -> Reply:
    return Reply(
        f"554 5.6.2 {error}: send it to exactly the people whom the calendar names, or as a file",
        "invitation",
    )


def _may_have_calendar(spool: Spool, headers: HeaderBlock, sender: Sender) -> bool:
    """Whether it has to be looked whom a calendar names; what is larger is looked at as it is taken apart."""
    if sender.invitations is Invitations.LEAVE or spool.size - spool.header_size > DIRECT_LIMIT:
        return False
    types = lower(" ".join(headers.get_all("Content-Type")))
    return ("multipart" in types or "calendar" in types) and mentions_calendar(spool.chunks(CHUNK_SIZE))


def _addressed(submission: Submission, sender: Sender) -> Sequence[str]:
    """The recipients of the largest delivery: where there are many, they share several."""
    if sender.redirect_all_to:
        return [sender.redirect_all_to]
    return submission.recipients[: sender.recipients_per_message]


def _composed_size(
    spool: Spool, headers: HeaderBlock, submission: Submission, resolved: Resolution, *, calendar: bool
) -> tuple[int, int]:
    """How many bytes the message and its header will have when they are sent.

    `calendar` is whether it may have one. Raises InvitationError.
    """
    if spool.size - spool.header_size > DIRECT_LIMIT or (spool.clean and not calendar):
        changed = headers.copy()
        compose_headers(
            changed,
            recipients=_addressed(submission, resolved.sender),
            identity=resolved.identity,
            header_from=submission.header_from,
            message_id=f"<{submission.message_id}>",
            date=submission.received_at,
        )
        header_size = spool.trace_size + len(changed.as_bytes())
        return header_size + spool.received - headers.body_offset, header_size
    with _COMPOSING:
        composed = _composed(b"".join(spool.chunks(CHUNK_SIZE)), submission, resolved)
    return composed.size, composed.header_size


def _composed(raw: bytes, submission: Submission, resolved: Resolution) -> Composed:
    if len(submission.recipients) > resolved.sender.recipients_per_message:
        # No calendar names exactly the recipients of each of several deliveries.
        settle_invitations(raw, (), resolved.sender.invitations)
    return compose(
        raw,
        recipients=_addressed(submission, resolved.sender),
        identity=resolved.identity,
        header_from=submission.header_from,
        message_id=f"<{submission.message_id}>",
        date=submission.received_at,
        invitations=resolved.sender.invitations,
    )
