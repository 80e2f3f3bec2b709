"""Kept connections that the other side closes as they are used: one mail is uncertain, the others flow."""

from mailrelay.diagnosis import kept
from mailrelay.diagnosis.findings import Level
from mailrelay.outbox.db import clock
from mailrelay.vocabulary import Reason, State
from tests.delivery.office import count, fresh, log


def test_the_others_flow_and_doctor_says_why_one_did_not(office, monkeypatch):
    office.sandbox.fault("sendMail", "reset_after_accept", skip=1)
    deliveries = office.queue(4)

    office.work()
    office.later(2)

    states = [fresh(delivery).state for delivery in deliveries]
    assert sorted(states) == [State.SENT] * 3 + [State.UNCERTAIN]
    assert fresh(office.registration).failing == Reason.NONE
    (attempt,) = log(deliveries[states.index(State.UNCERTAIN)])
    assert attempt.graph_code == "kept_connection_closed"
    (finding,) = kept.broken()
    assert finding.level is Level.WARNING
    assert finding.sentence.startswith("1 attempts of the last 24 hours met a kept connection")
    later = clock.now() + clock.seconds(90_000)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert not list(kept.broken())


def test_nothing_is_said_where_connections_break_otherwise(office):
    office.sandbox.fault("sendMail", "accept_then_status")
    office.one()

    office.work()

    assert count("uncertain") == 1
    assert not list(kept.broken())
