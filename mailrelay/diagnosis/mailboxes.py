"""Mailboxes: whether Graph would take mail for each, asked without sending any."""

from collections.abc import Iterator
from uuid import uuid4

from mailrelay.diagnosis.findings import Check, Finding
from mailrelay.graph.credentials import Credential
from mailrelay.graph.entra import Token
from mailrelay.graph.http import GraphSession
from mailrelay.graph.sendmail import Probe, probe_mailbox
from mailrelay.models import AppRegistration, Mailbox
from mailrelay.outbox.db import clock
from mailrelay.vocabulary import FromPolicy, Outcome

CHECK = Check("mailbox")


def of(registration: AppRegistration) -> list[Mailbox]:
    """List the mailboxes of `registration` that an active sender uses."""
    used = Mailbox.objects.filter(registration=registration, senders__active=True)
    return list(used.distinct().order_by("address").prefetch_related("senders"))


def probed(
    mailbox: Mailbox, credential: Credential, token: Token, session: GraphSession
) -> Iterator[Finding]:
    """Ask Graph about a mailbox. Costs one request of its limits."""
    probe = probe_mailbox(
        session, token, credential, mailbox.graph_user, client_request_id=str(uuid4()), token_is_fresh=True
    )
    yield _finding(mailbox, probe)
    yield from _standing(mailbox, usable=probe.usable)
    if any(
        sender.active and sender.from_policy == FromPolicy.OWN_MAILBOX for sender in mailbox.senders.all()
    ):
        yield CHECK.ok(
            f"Senders of {mailbox.address} with the policy own_mailbox use a mailbox per From; those are "
            "known only when mail comes, and were not tried."
        )


def untried(mailbox: Mailbox, registration: AppRegistration) -> Finding:
    return CHECK.warning(
        f"{mailbox.address} was not tried: {registration.name} has no token.",
        "Fix the app registration first, then run doctor again.",
    )


def _finding(mailbox: Mailbox, probe: Probe) -> Finding:
    if probe.usable:
        return CHECK.ok(f"Graph takes mail for {mailbox.address}.")
    verdict = probe.verdict
    trace = f" (request-id {probe.answer.request_id})" if probe.answer.request_id else ""
    sentence = f"{mailbox.address}: {verdict.sentence}{trace}"
    passing = verdict.outcome in {Outcome.TRANSIENT, Outcome.UNCERTAIN}
    return CHECK.warning(sentence, verdict.advice) if passing else CHECK.problem(sentence, verdict.advice)


def _standing(mailbox: Mailbox, *, usable: bool) -> Iterator[Finding]:
    """Say what the queue has on record against a mailbox that Graph would take mail for."""
    if usable and mailbox.blocked:
        yield CHECK.warning(
            f"{mailbox.address} works from here, but its mail is held: {mailbox.blocked_text}",
            "One mail is tried every 30 s, and success releases the rest; `manage.py mailq requeue ID` tries "
            "one now.",
        )
    if mailbox.paused_until and mailbox.paused_until > clock.now():
        until = f"{mailbox.paused_until:%Y-%m-%d %H:%M:%S} UTC"
        yield CHECK.warning(
            f"{mailbox.address} is paused until {until}: {mailbox.pause_text}",
            "Nothing: mail goes on by itself. If it happens often, lower the mailbox's limits.",
        )
