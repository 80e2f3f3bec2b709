"""Reports on mail that was not delivered, or not yet, as multipart/report (RFC 6522, RFC 3464).

Exchange takes Auto-Submitted out and Graph cannot send from <>, so that `X-Auto-Response-Suppress` alone
keeps vacation programs quiet; whom a report may go to is decided in `mailrelay.notify.failure_notices`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.message import Message as Fields
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import format_datetime, formataddr

from mailrelay.mime.headers import HeaderBlock, fields_end
from mailrelay.outbox.settling.reports import OwnMail
from mailrelay.vocabulary import Report

#: Bytes of the mail's own header that a report quotes at most.
QUOTED = 32_768
#: Characters of a diagnostic text.
DIAGNOSTIC = 900
#: What must not be quoted: anyone who reads the report need not know whom the others could not see.
HIDDEN = ("Bcc", "Resent-Bcc")
#: Stands for a mail that is sent back whole until the report around it is written.
_PLACE = b"--the-mail-itself-comes-here--"
POLICY = compat32.clone(linesep="\r\n")


@dataclass(frozen=True, slots=True)
class RecipientStatus:
    """How one recipient fared: an enhanced status code (RFC 3463) and a sentence."""

    address: str
    status: str
    sentence: str
    graph_code: str = ""
    last_attempt: datetime | None = None
    retried_until: datetime | None = None
    #: Whether Graph may have sent it all the same.
    maybe_delivered: bool = False
    #: Whom the client named by ORCPT: type;address.
    original: str = ""


@dataclass(frozen=True, slots=True)
class ReportedMessage:
    """The mail that is reported on. `header` is its own, as bytes; empty where it is not kept any more.

    `whole` is all of it, where all of it is to be sent back; `envid` is what the client calls it.
    """

    queue_id: str
    accepted_at: datetime
    mail_from: str
    header_from: str
    subject: str
    message_id: str
    header: bytes = b""
    whole: bytes = b""
    envid: str = ""


def compose(
    own_mail: OwnMail, mail: ReportedMessage, statuses: Sequence[RecipientStatus], at: datetime
) -> bytes:
    """Write the report `own_mail` about `mail` with CRLF line ends; `at` is its Date."""
    report = MIMEMultipart("report", report_type="delivery-status", policy=POLICY)
    report["From"] = formataddr(("Mail Delivery System", own_mail.mailbox_address))
    report["To"] = own_mail.to
    report["Subject"] = _encoded(own_mail.subject)
    report["Date"] = format_datetime(at)
    report["Message-ID"] = f"<{own_mail.message_id}>"
    if mail.message_id.isascii() and not set(mail.message_id) & set(" \t\r\n<>"):
        report["In-Reply-To"] = report["References"] = f"<{mail.message_id}>"
    report["Auto-Submitted"] = "auto-replied"
    report["X-Auto-Response-Suppress"] = "All"
    report.attach(_text("\n".join(_words(own_mail, mail, statuses)), "plain"))
    report.attach(_status(own_mail, mail, statuses))
    if not mail.whole:
        report.attach(_text(_quoted(mail), "rfc822-headers"))
        return report.as_bytes(policy=POLICY)
    report.attach(_returned(mail.whole))
    return report.as_bytes(policy=POLICY).replace(_PLACE, _without_hidden(mail.whole))


def title(kind: Report, subject: str) -> str:
    """Give the subject of a report about a mail with `subject`."""
    what = "Not delivered" if kind == Report.FAILURE else "Not delivered yet"
    return f"{what}: {' '.join(subject.split()) or '(no subject)'}"[:200]


def _words(own_mail: OwnMail, mail: ReportedMessage, statuses: Sequence[RecipientStatus]) -> Iterator[str]:
    yield f"This is the mail gateway {own_mail.hostname}."
    yield ""
    if own_mail.kind == Report.FAILURE:
        yield "A message could not be delivered to the recipients below. It is not tried again."
    else:
        yield "A message has not been delivered yet to the recipients below. It is still being tried:"
        yield "there is nothing to do, and it should not be sent again."
    yield ""
    for outcome in statuses:
        yield f"  <{outcome.address}>"
        yield f"    {outcome.sentence or 'No reason is on record.'} ({outcome.status})"
        if outcome.maybe_delivered:
            yield "    It may have arrived all the same: that is looked up; it is sent again once at most."
        elif outcome.retried_until is not None:
            yield f"    It is tried until {outcome.retried_until:%Y-%m-%d %H:%M} UTC."
    yield ""
    yield f"Subject:    {mail.subject or '(none)'}"
    yield f"From:       {mail.header_from or '(none)'}"
    yield f"Message-ID: <{mail.message_id}>"
    yield f"Accepted:   {mail.accepted_at:%Y-%m-%d %H:%M:%S} UTC, from <{mail.mail_from}>"
    yield f"Queue id:   {mail.queue_id}"


def _status(own_mail: OwnMail, mail: ReportedMessage, statuses: Iterable[RecipientStatus]) -> MIMEBase:
    """Make the part that programs read (RFC 3464 section 2)."""
    part = MIMEBase("message", "delivery-status", policy=POLICY)
    whole = Fields(policy=POLICY)
    whole["Reporting-MTA"] = f"dns; {own_mail.hostname}"
    whole["X-Queue-ID"] = mail.queue_id
    if mail.envid:
        whole["Original-Envelope-Id"] = mail.envid
    whole["Arrival-Date"] = format_datetime(mail.accepted_at)
    part.set_payload([whole, *(_fields(own_mail, outcome) for outcome in statuses)])
    return part


def _fields(own_mail: OwnMail, outcome: RecipientStatus) -> Fields:
    fields = Fields(policy=POLICY)
    if outcome.original:
        kind, _, address = outcome.original.partition(";")
        fields["Original-Recipient"] = f"{kind}; {address}"
    fields["Final-Recipient"] = _typed(outcome.address)
    fields["Action"] = "failed" if own_mail.kind == Report.FAILURE else "delayed"
    fields["Status"] = outcome.status
    says = f"{outcome.graph_code} {outcome.sentence}".strip()
    fields["Diagnostic-Code"] = f"X-Graph; {_ascii(says)[:DIAGNOSTIC]}"
    if outcome.last_attempt is not None:
        fields["Last-Attempt-Date"] = format_datetime(outcome.last_attempt)
    if outcome.retried_until is not None:
        fields["Will-Retry-Until"] = format_datetime(outcome.retried_until)
    return fields


def _typed(address: str) -> str:
    """Give an address with its type; what is not ASCII as utf-8-addr-xtext (RFC 6533 section 3)."""
    if address.isascii():
        return f"rfc822; {address}"
    text = "".join(c if c.isascii() and c not in "\\+=" else f"\\x{{{ord(c):X}}}" for c in address)
    return f"utf-8; {text}"


def _quoted(mail: ReportedMessage) -> str:
    """Give the mail's own header without blind recipients, or what is on record of it."""
    if mail.header:
        header = _without_hidden(mail.header[: fields_end(mail.header)[1]])
        return header[:QUOTED].decode("utf-8", "replace").replace("\r\n", "\n")
    fields = {
        "From": mail.header_from,
        "Subject": mail.subject,
        "Date": format_datetime(mail.accepted_at),
        "Message-ID": f"<{mail.message_id}>",
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def _returned(whole: bytes) -> MIMEBase:
    """Make the part that has the mail; its bytes are put in its place once the rest is written."""
    part = MIMEBase("message", "rfc822", policy=POLICY)
    if not whole.isascii():
        part["Content-Transfer-Encoding"] = "8bit"
    part.set_payload(_PLACE.decode("ascii"))
    return part


def _without_hidden(mail: bytes) -> bytes:
    """Take blind recipients out of a header, or out of that of a whole mail."""
    end = fields_end(mail)[1]
    block = HeaderBlock.parse(mail[:end])
    for name in HIDDEN:
        block.remove(name)
    return block.as_bytes() + mail[end:]


def _text(text: str, subtype: str) -> MIMEText:
    plain = text.isascii() and all(len(line) < 900 for line in text.split("\n"))
    return MIMEText(text, subtype, "us-ascii" if plain else "utf-8", policy=POLICY)


def _encoded(text: str) -> str:
    return text if text.isascii() else Header(text, "utf-8").encode(linesep="\r\n")


def _ascii(text: str) -> str:
    return " ".join(text.encode("ascii", "replace").decode().split())
