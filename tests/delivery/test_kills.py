"""SIGKILL at named points: what got its 250 is never lost, and never doubled but by the uncertain policy."""

import smtplib
from contextlib import suppress

import pytest

from tests.harness.processes import mail, rows, send

#: Killed here, nothing was stored, and the client has no 250: it sends again.
BEFORE_THE_COMMIT = ["accept.before"]
#: Killed here, the mail is stored, and the client has no 250: it may send again, which is its right.
BEFORE_THE_REPLY = ["accept.after", "reply.before"]
#: Killed here, Graph was certainly not asked.
BEFORE_THE_REQUEST = ["lease.before", "lease.after", "begin.before"]
#: Killed here too, at the claim that finds mail: of a process that starts with some, it is the first.
AT_THE_CLAIM = ["claim.before", "claim.after"]
#: Killed here, the record cannot tell whether Graph was asked; it was not.
ATTEMPT_OPEN = ["begin.after", "graph.before"]
#: Killed here, the record cannot tell either; Graph had taken the mail.
ANSWER_UNRECORDED = ["graph.after", "settle.before"]


def copies(stack) -> int:
    return len(stack.delivered())


def kill_at(stack, point: str, **more: str):
    """Send one mail into a gateway that dies at `point`; return the process, dead."""
    listener = stack.listener(**more)
    listener.start(FAILPOINT=point)
    with suppress(smtplib.SMTPException, OSError):
        send(listener.smtp_port, mail(1))
    listener.wait_until_killed()
    return listener


@pytest.mark.parametrize("point", BEFORE_THE_COMMIT)
def test_a_kill_before_the_commit_stores_nothing(embedded, point):
    listener = embedded.listener()
    listener.start(FAILPOINT=point)

    with pytest.raises((smtplib.SMTPException, OSError)):
        send(listener.smtp_port, mail(1))
    listener.wait_until_killed()

    assert embedded.states() == {}
    listener.start()
    send(listener.smtp_port, mail(1))
    embedded.wait_for(sent=1)
    assert copies(embedded) == 1


@pytest.mark.parametrize("point", BEFORE_THE_REPLY)
def test_a_kill_between_commit_and_250_keeps_the_mail(embedded, point):
    listener = embedded.listener()
    listener.start(FAILPOINT=point)

    with pytest.raises((smtplib.SMTPException, OSError)):
        send(listener.smtp_port, mail(1))
    listener.wait_until_killed()

    assert sum(embedded.states().values()) == 1
    listener.start()
    embedded.wait_for(sent=1)
    assert copies(embedded) == 1


@pytest.mark.parametrize("point", BEFORE_THE_REQUEST)
def test_a_kill_before_the_request_sends_once(embedded, point):
    listener = kill_at(embedded, point)

    listener.start()
    embedded.wait_for(sent=1)

    assert copies(embedded) == 1
    assert rows(embedded.environment, "SELECT copies FROM mailrelay_delivery") == [(0,)]


@pytest.mark.parametrize("point", AT_THE_CLAIM)
def test_a_kill_at_the_claim_sends_once(embedded, point):
    listener = kill_at(embedded, "accept.after")
    listener.start(wait=False, FAILPOINT=point)
    listener.wait_until_killed()
    ((state, claims),) = rows(embedded.environment, "SELECT state, claims FROM mailrelay_delivery")
    assert (state, claims) == (("reserved", 1) if point == "claim.after" else ("queued", 0))

    listener.start()
    embedded.wait_for(sent=1)

    assert copies(embedded) == 1


@pytest.mark.parametrize("point", [*ATTEMPT_OPEN, *ANSWER_UNRECORDED])
def test_a_kill_around_the_request_is_uncertain_and_resent_once_by_the_policy(embedded, point):
    listener = kill_at(embedded, point, UNCERTAIN_DELAY="2")

    listener.start()
    embedded.wait_for(uncertain=1)
    embedded.wait_for(sent=1)

    expected = 2 if point in ANSWER_UNRECORDED else 1
    assert copies(embedded) == expected
    assert {delivery["internet_message_id"] for delivery in embedded.delivered()} == {"<test-1@app.test>"}
    assert rows(embedded.environment, "SELECT copies FROM mailrelay_delivery") == [(1,)]
    outcomes = rows(embedded.environment, "SELECT outcome FROM mailrelay_sendlog ORDER BY number")
    assert outcomes == [("uncertain",), ("sent",)]


@pytest.mark.parametrize("point", [*ATTEMPT_OPEN, *ANSWER_UNRECORDED])
def test_a_kill_around_the_request_is_held_when_the_policy_says_so(embedded, point):
    listener = kill_at(embedded, point, SENDER_UNCERTAIN_POLICY="hold")

    listener.start()
    embedded.wait_for(held=1)

    assert copies(embedded) == (1 if point in ANSWER_UNRECORDED else 0)


def test_a_kill_after_the_record_sends_nothing_again(embedded):
    listener = kill_at(embedded, "settle.after")

    listener.start()
    send(listener.smtp_port, mail(2))
    embedded.wait_for(sent=2)

    assert copies(embedded) == 2


def test_a_killed_worker_is_noticed_by_its_lease(on_redis):
    """The relay stays; another worker finds the mail once the first one's lease is over."""
    on_redis.environment |= {"LEASE_SECONDS": "3", "UNCERTAIN_DELAY": "1"}
    on_redis.migrate()
    listener = on_redis.listener().start()
    lone = on_redis.worker().start(FAILPOINT="graph.before")

    send(listener.smtp_port, mail(1))
    lone.wait_until_killed()
    on_redis.worker().start()

    on_redis.wait_for(sent=1)
    assert copies(on_redis) == 1
