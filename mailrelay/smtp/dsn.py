"""Reads what a client asks of delivery status notifications with MAIL and RCPT (RFC 3461)."""

import re

from mailrelay.outbox.submission import (
    NO_DSN_REQUEST,
    NO_RECIPIENT_DSN,
    ORIGINAL_LIMIT,
    DsnRequest,
    RecipientDsn,
)
from mailrelay.smtp.replies import Reply

WRONG_RET = Reply("501 5.5.4 RET is FULL or HDRS", "parameter")
WRONG_NOTIFY = Reply("501 5.5.4 NOTIFY is NEVER, or some of SUCCESS,FAILURE,DELAY", "parameter")

#: Characters of ENVID (RFC 3461 section 4.4).
ENVID_LIMIT = 100
_NOTICES = ("SUCCESS", "FAILURE", "DELAY")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")
_TYPE = re.compile(r"[A-Za-z0-9-]+")


def wrong_for_mail(parameters: dict[str, str]) -> Reply | None:
    """What is wrong with RET, if anything is. An ENVID that is none labels nothing and is forgotten."""
    ret = parameters.get("RET")
    return None if ret is None or ret.upper() in {"FULL", "HDRS"} else WRONG_RET


def wrong_for_rcpt(parameters: dict[str, str]) -> Reply | None:
    """What is wrong with NOTIFY, if anything is."""
    notify = parameters.get("NOTIFY")
    if notify is None or notify.upper() == "NEVER":
        return None
    return None if set(notify.upper().split(",")) <= set(_NOTICES) else WRONG_NOTIFY


def of_mail(parameters: dict[str, str]) -> DsnRequest:
    """Read RET and ENVID, which were found to be right."""
    if "RET" not in parameters and "ENVID" not in parameters:
        return NO_DSN_REQUEST
    envid = _decoded(parameters.get("ENVID", ""))
    return DsnRequest(ret=parameters.get("RET", "").upper(), envid=envid if len(envid) <= ENVID_LIMIT else "")


def of_rcpt(parameters: dict[str, str]) -> RecipientDsn:
    """Read NOTIFY and ORCPT, which were found to be right."""
    if not parameters:
        return NO_RECIPIENT_DSN
    notify = ",".join(sorted(set(parameters.get("NOTIFY", "").upper().split(","))))
    kind, separator, text = parameters.get("ORCPT", "").partition(";")
    address = _decoded(text) if separator and _TYPE.fullmatch(kind) else ""
    original = f"{kind};{address}" if address else ""
    if len(original) > ORIGINAL_LIMIT:
        original = ""
    return RecipientDsn(notify, original)


def _decoded(xtext: str) -> str:
    """Decode xtext (RFC 3461 section 4); empty unless it is that, and printable ASCII."""
    if not _XTEXT.fullmatch(xtext):
        return ""
    text = re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), xtext)
    return text if text.isascii() and text.isprintable() else ""
