"""Settles mail that an earlier attempt may have sent, by what was found out about it."""

from mailrelay.delivery import large, outcome_lookup
from mailrelay.delivery.measuring import measure
from mailrelay.delivery.outcome_lookup import Finding, Found
from mailrelay.delivery.recording import ending, recorded
from mailrelay.graph.credentials import Credential
from mailrelay.models import Delivery
from mailrelay.outbox.claiming import leases
from mailrelay.outbox.claiming.claim import Reservation
from mailrelay.outbox.settling import settle
from mailrelay.vocabulary import Route, UncertainPolicy


def settled(delivery: Delivery, credential: Credential, found: Found) -> list[Reservation] | None:
    """Settle `delivery` by what was found about it; None where it is to be sent (again)."""
    if found.finding is Finding.CLEAR:
        return None
    assert found.attempt is not None
    if found.finding is Finding.UNSENT:
        return _send_draft(delivery, credential, found)
    attempt, result = found.attempt, found.result
    if found.finding is Finding.SENT:
        return recorded(lambda: settle.end_attempt(attempt, result))
    if found.finding in outcome_lookup.WAITS:
        return settle.look_again_later(delivery, result)
    resent = delivery.sender.uncertain_policy == UncertainPolicy.RESEND and not delivery.copies
    if delivery.copy_allowed or (resent and found.finding is Finding.UNKNOWN):
        return None
    return settle.decide_by_policy(delivery, attempt, result, draft_is_gone=found.finding is Finding.LOST)


def _send_draft(delivery: Delivery, credential: Credential, found: Found) -> list[Reservation]:
    """Send the draft of an earlier attempt, whole and not sent: no second copy can come of it."""
    attempt = leases.begin(delivery, 0, Route.LARGE)
    result = large.send_draft(delivery, credential, attempt, found.draft_id, ending)
    reservations = recorded(lambda: settle.end_attempt(attempt, result))
    measure(delivery, result)
    return reservations
