"""Tells the origin of a message in a sentence for its timeline."""

from mailrelay.models import Message
from mailrelay.vocabulary import Report

#: How the names begin under which test mails are handed in.
TEST = "test by "


def told(message: Message) -> str:
    """Say who handed a message in, from where, and what let it in. Its texts are as they came."""
    if message.report == Report.ALERT:
        return "Made by the gateway itself, to tell about an alert."
    if message.report_of is not None:
        return f"Made by the gateway itself: the report of a {message.report} of {message.report_of.hex}."
    key = _key(message)
    if key.startswith(TEST) and message.client_id is None:
        return f"A test mail, asked for by {key.removeprefix(TEST)} from {message.client_address}."
    return (
        f"Accepted from {message.client_address}, which called itself {message.client_name or 'nothing'}; "
        f"{_let_in(message, key)}."
    )


def _key(message: Message) -> str:
    """Return what fairness between clients went by: a client's name, which outlives its row."""
    first = min(message.deliveries.all(), key=lambda part: part.pk, default=None)
    return first.client_key if first is not None else ""


def _let_in(message: Message, key: str) -> str:
    if message.client is not None:
        return f"let in as the client {message.client.name}"
    if key in ("", message.client_address):
        return "let in by SMTP_ALLOWED_NETWORKS"
    return f"let in as the client {key}, which was deleted since"
