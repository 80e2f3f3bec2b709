"""All checks in their order: what others rest on comes first, and what would be in vain is left out."""

from collections.abc import Iterator

from mailrelay.diagnosis import (
    broker,
    certificate,
    credentials,
    exposure,
    kept,
    mailboxes,
    microsoft,
    records,
    setup,
    storage,
    workers,
)
from mailrelay.diagnosis.findings import Check, Finding, Level
from mailrelay.graph.http import GraphSession


def findings() -> Iterator[Finding]:
    """Yield each finding as it is made. Sends no mail and changes nothing."""
    yield from setup.environment()
    yield from setup.interpreter()
    yield from storage.data_dir()
    yield from storage.free_space()
    yield from certificate.of_listener()
    yield from broker.reachable()
    database = list(records.reachable())
    yield from database
    if any(finding.level is Level.PROBLEM for finding in database):
        yield Check("database").warning(
            "Senders, listener, workers and Microsoft were not examined: what is known of them is there.",
            "Fix the database, then run doctor again.",
        )
        return
    yield from records.durability()
    yield from setup.senders()
    yield from setup.rows()
    yield from setup.agreement()
    yield from exposure.reach()
    yield from workers.needed()
    yield from kept.broken()
    yield from _microsoft()


def _microsoft() -> Iterator[Finding]:
    try:
        session = GraphSession()
    except OSError as error:  # its text names the variable and what to do
        yield Check("network").problem(str(error), "")
        return
    found, untried = credentials.candidates()
    yield from untried
    for origin in microsoft.hosts(candidate.credential for candidate in found):
        yield from microsoft.way_to(origin, session)
    for candidate in found:
        yield from _registration(candidate, session)
    session.close()


def _registration(candidate: credentials.Candidate, session: GraphSession) -> Iterator[Finding]:
    token, said = credentials.token_of(candidate, session)
    yield from said
    for mailbox in mailboxes.of(candidate.registration):
        if token is None:
            yield mailboxes.untried(mailbox, candidate.registration)
        else:
            yield from mailboxes.probed(mailbox, candidate.credential, token, session)
