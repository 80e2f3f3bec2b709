"""Titles and sentences for the states, outcomes and reasons of the vocabulary."""

from typing import NamedTuple

from mailrelay.vocabulary import CredentialKind, Outcome, Reason, State


class Words(NamedTuple):
    """A title, the tone of its badge (good, busy, waiting, bad, quiet), and what a person has to decide.

    What else is to be done stands in the sentence that came with the failure.
    """

    title: str
    tone: str
    todo: str = ""


STATES = {
    State.QUEUED: Words("Queued", "busy"),
    State.RESERVED: Words("Sending", "busy"),
    State.SENDING: Words("Sending", "busy"),
    State.DEFERRED: Words("Deferred", "waiting"),
    State.SENT: Words("Sent", "good"),
    State.FAILED: Words("Failed", "bad"),
    State.HELD: Words("Held", "waiting"),
    State.UNCERTAIN: Words("Unconfirmed", "waiting"),
    State.CANCELLED: Words("Cancelled", "quiet"),
}
OUTCOMES = {
    Outcome.SENT: Words("Microsoft accepted it", "good"),
    Outcome.TRANSIENT: Words("Not sent, may work later", "waiting"),
    Outcome.PERMANENT: Words("Refused for good", "bad"),
    Outcome.CONFIGURATION: Words("Not sent: the configuration is broken", "bad"),
    Outcome.TOO_LARGE: Words("Too large for this route", "bad"),
    Outcome.UNCERTAIN: Words("Unconfirmed", "waiting"),
}

REASONS = {
    Reason.SECRET_WRONG: Words("Client secret wrong", "bad"),
    Reason.SECRET_EXPIRED: Words("Client secret expired", "bad"),
    Reason.CREDENTIAL_REFUSED: Words("Credential refused", "bad"),
    Reason.CREDENTIAL_MISSING: Words("Credential missing", "bad"),
    Reason.CONSENT_MISSING: Words("Consent missing", "bad"),
    Reason.MAILBOX_UNKNOWN: Words("Mailbox unknown", "bad"),
    Reason.MAILBOX_UNLICENSED: Words("Mailbox without licence", "bad"),
    Reason.MAILBOX_FULL: Words("Mailbox full", "bad"),
    Reason.MAILBOX_BLOCKED: Words("Mailbox blocked", "bad"),
    Reason.SENDER_INACTIVE: Words("Sender off", "quiet"),
    Reason.SENDER_PAUSED: Words("Sender paused", "waiting"),
    Reason.POISON: Words(
        "Crashed the worker", "bad", "Look at the content before you release it: it crashed several workers."
    ),
    Reason.BY_HAND: Words("By hand", "quiet"),
    Reason.UNCERTAIN: Words(
        "Unconfirmed", "waiting", "Look in Sent Items of the mailbox; then release it, or cancel it."
    ),
    Reason.THROTTLED: Words("Throttled by Microsoft", "waiting"),
    Reason.UNREACHABLE: Words("Microsoft unreachable", "bad"),
    Reason.SERVER_ERROR: Words("Server error", "waiting"),
    Reason.REJECTED: Words("Rejected", "bad"),
    Reason.TOO_LARGE: Words("Too large", "bad"),
    Reason.TOO_OLD: Words("Too old", "bad"),
    Reason.LOOP: Words("Mail loop", "bad", "Find out who sends it back before you release it; or cancel it."),
    Reason.CONTENT_LOST: Words(
        "Bytes missing", "bad", "Ask the sender to resend it; a part of a mail is never sent."
    ),
}
_NO_REASON = Words("", "quiet")


def state_words(state: str) -> Words:
    return STATES[State(state)]


def outcome_words(outcome: str) -> Words:
    """Return the words of an attempt; one without an outcome has not ended."""
    return OUTCOMES[Outcome(outcome)] if outcome else Words("Under way", "busy")


def reason_words(reason: str) -> Words:
    return REASONS.get(Reason(reason), _NO_REASON)


_PROOFS = {
    CredentialKind.SECRET: "client secret",
    CredentialKind.CERTIFICATE: "certificate",
    CredentialKind.FEDERATED: "federated token",
    CredentialKind.MANAGED_IDENTITY: "managed identity",
}


def name_of_credential(column: str) -> str:
    """Name what an app registration proves itself with, by its kind or its column."""
    kind = column.removeprefix("next_")
    name = _PROOFS[CredentialKind(kind)] if kind else ""
    return f"newer {name}" if column != kind else name
