"""The meaning of one answer: what becomes of the mail, who is to blame, and what a person should do."""

from dataclasses import dataclass

from mailrelay.vocabulary import Blame, Outcome, Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """The meaning of one answer of Graph or of Entra ID. Holds no secrets and no mail."""

    outcome: Outcome
    blame: Blame = Blame.NOBODY
    reason: Reason = Reason.NONE
    code: str = ""  # Graph's or Entra's own word, for searching
    sentence: str = ""  # what happened, to what
    advice: str = ""  # what to do next; empty if nothing
    retry_after: float | None = None  # seconds: theirs, or ours where their documentation says "hours"
    retry_token: bool = False  # drop the token and try once more with a fresh one, at once
    claims: str | None = None  # for that fresh token
    enhanced_status: str = "4.0.0"  # RFC 3463, for the bounce
    permanent_after: int | None = None  # attempts after which this transient verdict is a permanent one
    doubtful: bool = False  # such answers have been reported of mail that was sent all the same
    duplicate: bool = False  # Exchange has taken a mail of this Message-ID before
    about_recipient: bool = False  # one or more recipients are refused, the others would be taken
    recipients: tuple[str, ...] = ()  # what Graph named them by: an address, a display name, pieces of either
