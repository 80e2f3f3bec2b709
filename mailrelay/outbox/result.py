"""The result of one attempt, as the queue of record takes it."""

from dataclasses import dataclass

from mailrelay.vocabulary import Blame, Outcome, Reason


@dataclass(frozen=True, slots=True)
class Result:
    """What one attempt came to, with what Microsoft said. Durations are in seconds."""

    outcome: Outcome
    sentence: str
    blame: Blame = Blame.NOBODY
    reason: Reason = Reason.NONE
    advice: str = ""
    http_status: int | None = None
    graph_code: str = ""
    enhanced_status: str = ""
    request_id: str = ""
    retry_after: float | None = None
    duration: float = 0.0
    reply: str = ""
    #: Graph said itself that its service failed: an uncertain mail hardly was sent, and waits less long.
    coded: bool = False
    #: Failed attempts after which this passing fault is one for good.
    permanent_after: int | None = None
    #: Exchange has taken a mail of this Message-ID before.
    duplicate: bool = False
    #: Whether recipients are what was refused, and what they were named by: addresses, if it names any.
    about_recipient: bool = False
    refused: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return f"{self.sentence} {self.advice}".strip()
