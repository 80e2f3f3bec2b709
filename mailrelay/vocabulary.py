"""The words that every room uses: states, outcomes, blame, routes and reasons, each defined here once."""

from enum import Enum, IntEnum, StrEnum
from typing import Any, TypeVar

E = TypeVar("E", bound=Enum)


class UnknownWordError(ValueError):
    """A column has a word of another version, as during a rolling update."""


def known_word(words: type[E], value: Any, column: str) -> E:
    """Return `value` of `column` as one of `words`. Raises UnknownWordError."""
    try:
        return words(value)
    except ValueError:
        raise UnknownWordError(f"{column} is “{value}”, which this version does not know") from None


class State(StrEnum):
    """Where a delivery (and, derived from its deliveries, a message) stands."""

    QUEUED = "queued"  # waits for its turn: a slot, a token, an end of a pause
    RESERVED = "reserved"  # claimed and published for a worker that has not begun yet
    SENDING = "sending"  # a worker holds the lease
    DEFERRED = "deferred"  # a fault of its own; tried again at next_attempt_at
    SENT = "sent"  # Graph answered 202: accepted, not yet "arrived"
    FAILED = "failed"  # permanent, or too old
    HELD = "held"  # needs a person or a fixed configuration
    UNCERTAIN = "uncertain"  # Graph may have sent it
    CANCELLED = "cancelled"  # withdrawn by a person before it was sent


#: States in which a delivery still needs something to happen.
OPEN_STATES = (
    State.QUEUED,
    State.RESERVED,
    State.SENDING,
    State.DEFERRED,
    State.HELD,
    State.UNCERTAIN,
)
#: States that count against the slots of a mailbox.
IN_FLIGHT_STATES = (State.RESERVED, State.SENDING)
#: States that a message as a whole shows; what is in flight counts as queued.
MESSAGE_STATES = tuple(state for state in State if state not in IN_FLIGHT_STATES)
#: States that nothing but a person leaves.
FINAL_STATES = (State.SENT, State.FAILED, State.CANCELLED)


class Outcome(StrEnum):
    """What one attempt came to."""

    SENT = "sent"
    TRANSIENT = "transient"  # certainly not sent; may work later
    PERMANENT = "permanent"  # certainly not sent; will never work as it is
    CONFIGURATION = "configuration"  # certainly not sent; a person has to fix something first
    TOO_LARGE = "too_large"  # this route does not carry it
    UNCERTAIN = "uncertain"  # may have been sent


class Blame(StrEnum):
    """Whose fault a failure is: that object waits, nothing else."""

    NOBODY = ""
    MESSAGE = "message"
    MAILBOX = "mailbox"
    CREDENTIAL = "credential"
    ENDPOINT = "endpoint"


class Route(StrEnum):
    """How a delivery reaches Graph."""

    MIME = "mime"  # sendMail with the base64 of the whole message
    LARGE = "large"  # draft, upload sessions, send


class Reason(StrEnum):
    """Why something is held, paused or refused: the word that people filter by."""

    NONE = ""
    SECRET_WRONG = "secret_wrong"  # noqa: S105 - a reason, not a secret
    SECRET_EXPIRED = "secret_expired"  # noqa: S105 - likewise
    CREDENTIAL_REFUSED = "credential_refused"
    CREDENTIAL_MISSING = "credential_missing"
    CONSENT_MISSING = "consent_missing"
    MAILBOX_UNKNOWN = "mailbox_unknown"
    MAILBOX_UNLICENSED = "mailbox_unlicensed"
    MAILBOX_FULL = "mailbox_full"
    MAILBOX_BLOCKED = "mailbox_blocked"
    SENDER_INACTIVE = "sender_inactive"
    SENDER_PAUSED = "sender_paused"
    POISON = "poison"
    BY_HAND = "by_hand"
    UNCERTAIN = "uncertain"
    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"
    SERVER_ERROR = "server_error"
    REJECTED = "rejected"
    TOO_LARGE = "too_large"
    TOO_OLD = "too_old"
    LOOP = "loop"
    CONTENT_LOST = "content_lost"


class FromPolicy(StrEnum):
    """What happens when the From of a message is not the mailbox that sends it."""

    REWRITE = "rewrite"  # From becomes the mailbox, the original goes to Reply-To
    REQUIRE = "require"  # refused with 550 5.7.60
    SEND_AS = "send_as"  # left as it is; Graph decides
    OWN_MAILBOX = "own_mailbox"  # From is the mailbox in the URL; only for listed addresses and domains


class UncertainPolicy(StrEnum):
    """What happens to a delivery whose outcome cannot be found out."""

    RESEND = "resend"  # once more after UNCERTAIN_DELAY with the same Message-ID, then held
    HOLD = "hold"
    FAIL = "fail"


class LargeMail(StrEnum):
    """Whether a sender may use the large route, which needs Mail.ReadWrite."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Invitations(StrEnum):
    """What becomes of an invitation whose calendar does not name exactly the recipients."""

    FILE = "file"  # it is attached as a file
    REFUSE = "refuse"  # in the SMTP session
    LEAVE = "leave"  # it stays as it is; Graph may send the mail to the people in the calendar instead


class LargeText(StrEnum):
    """What becomes of a text that is too large for one request."""

    FILE = "file"  # it travels as a file, with a short text in front
    REFUSE = "refuse"  # in the SMTP session


class SentItems(StrEnum):
    """What becomes of the copy that Exchange keeps of each mail in Sent Items."""

    KEEP = "keep"
    REMOVE = "remove"  # afterwards, which needs Mail.ReadWrite: sendMail with MIME cannot do without the copy


class CredentialKind(StrEnum):
    """How an app registration proves itself to Entra ID."""

    SECRET = "secret"  # noqa: S105 - a kind, not a secret
    CERTIFICATE = "certificate"
    FEDERATED = "federated"  # a token file, re-read at each assertion
    MANAGED_IDENTITY = "managed_identity"


class Cloud(StrEnum):
    """Which of Microsoft's clouds a tenant lives in; `mailrelay.clouds` has their addresses."""

    CUSTOM = ""  # the addresses as they are entered
    GLOBAL = "global"  # GCC included
    US_GOVERNMENT = "us_government"  # GCC High, L4
    US_DEFENSE = "us_defense"  # DoD, L5
    CHINA = "china"  # 21Vianet


class BouncePolicy(StrEnum):
    """Who is told about mail that cannot be delivered."""

    DEFAULT = ""  # of a sender: what BOUNCE_POLICY says
    SENDER = "sender"  # the sender of the mail, where that is one of ours; otherwise the operations address
    OPERATIONS = "operations"  # the operations address alone
    WEBHOOK = "webhook"  # NOTICE_WEBHOOK_URL
    NONE = "none"


class Report(StrEnum):
    """What a mail of our own making tells; empty is mail that a client handed in."""

    NONE = ""
    FAILURE = "failure"
    DELAY = "delay"
    ALERT = "alert"  # tells operators how the gateway fares


class Condition(StrEnum):
    """What people are told about without asking."""

    BACKLOG = "backlog"  # mail has waited too long
    FAILURES = "failures"  # too much of an hour's mail failed
    HELD = "held"  # a sender stands still until somebody fixes it
    EXPIRY = "expiry"  # a secret or certificate ends
    NO_WORKER = "no_worker"  # nobody delivers


class Channel(StrEnum):
    """How people are told."""

    EMAIL = "email"  # a mail through a sender that works
    WEBHOOK = "webhook"  # a JSON document of our own
    SLACK = "slack"  # an incoming webhook of Slack, or of what takes its shape
    TEAMS = "teams"  # a workflow of Teams that takes an adaptive card


class Scope(StrEnum):
    """What a token of the API may do."""

    READ = "read"  # messages and their states, queue and senders; no content
    OPERATE = "operate"  # requeue, hold, release, cancel, resend
    SUBMIT = "submit"  # hand in mail, by the rules of an SMTP client
    TEST = "test"  # send a test mail


class ManagedBy(StrEnum):
    """Who owns a row: people edit theirs, the environment's is read-only."""

    ADMIN = "admin"
    ENVIRONMENT = "environment"
    FILE = "file"


class Urgency(IntEnum):
    """The order in which one mailbox's mail goes out; smaller goes first."""

    URGENT = 0
    NORMAL = 1
    BULK = 2
