"""The glossary: a line for each word of the admin, the commands and the documents (docs/glossary.md)."""

from mailrelay.status.words import state_words
from mailrelay.vocabulary import State

WORDS = {
    "Message": (
        "One mail that was accepted with 250 (or by HTTP): envelope, header facts, content. Its queue"
        " id names it everywhere."
    ),
    "Recipient": "One address of a message's envelope. Each belongs to one delivery.",
    "Delivery": (
        "A message and some of its recipients, through one mailbox: the unit of work, with a state. "
        "Most messages have one."
    ),
    "Attempt": "One request to Graph for a delivery, with its answer. A row of the send log.",
    "SMTP client": (
        "Who may send through the gateway: networks, or a login, and rules for addresses and pace."
    ),
    "Sender": ("What a message is sent as: the addresses that it takes, its mailbox, and its policies."),
    "Mailbox": "An Exchange mailbox that Graph sends from, with its limits and what is used of them.",
    "App registration": "The application in Entra ID whose credential gets tokens. Mailboxes belong to one.",
    "Credential": (
        "What an app registration proves itself with: client secret, certificate, federated token, "
        "managed identity."
    ),
    "From policy": (
        "What becomes of a From that is not the mailbox: rewrite, require, send as, or the mailbox of"
        " that address."
    ),
    "Uncertain policy": (
        "What becomes of a delivery whose outcome cannot be found out: sent once more, held, or failed."
    ),
    "Fallback sender": (
        "The sender that may send the mail of another one while that one's configuration is broken."
    ),
    "Reservation": "A delivery that is given to a worker for 30 s, before it starts.",
    "Lease": "A delivery that a worker works on; another goes on with it when the lease ends.",
    "Hold": "A delivery that waits for a person or for a fixed configuration; nothing is tried meanwhile.",
    "Release": "A person lets held mail go.",
    "Resend": "A person sends a message once more that was sent, failed or cancelled.",
    "Pause": "A sender that a person stopped for a while, or a mailbox that Microsoft asked to wait.",
    "Limit": (
        "What a mailbox may do: messages a minute, requests at once, requests in 10 minutes, bytes in"
        " 5 minutes, recipients in 24 hours."
    ),
    "Large mail": (
        "Mail over one request's limit (3,145,728 bytes): a draft, uploads, then the sending. Needs "
        "Mail.ReadWrite."
    ),
    "Unconfirmed": (
        "The outcome is not known (uncertain): Graph may have sent it. It is looked up, or the policy"
        " decides."
    ),
    "Repetition": (
        "The same mail from the same client within some minutes, since it did not see the 250: stored once."
    ),
    "Notice": "A mail of the gateway's own about mail that failed or waits (a delivery status notification).",
    "Alert": "Something that needs attention, told once when it begins and once when it is over.",
    "Alert channel": "Where alerts go: an address or a webhook.",
    "Retention": "Content is removed after a time, rows later.",
    "Worker": "A Celery process that delivers.",
    "Scheduler": (
        "A thread that finds what is due: waits that are over, leases that ended, mail that is too old."
    ),
    "Route": "How a delivery goes to Graph: mime (one request) or large (draft and uploads).",
    "Request without mail": (
        "A sendMail that Graph can only refuse: it tells whether a mailbox that failed works again."
    ),
    "Snapshot": "Senders and clients as the listener has them in memory; a change counts within seconds.",
}
#: Each state of a delivery in a line.
STATES = {
    State.QUEUED: "It waits for its turn: for the limits of its mailbox, or for a worker.",
    State.RESERVED: "It is given to a worker, which is about to start.",
    State.SENDING: "A worker has its lease and works on it.",
    State.DEFERRED: "It was not sent, may be later, and is tried again at a known time.",
    State.UNCERTAIN: (
        "Graph may have sent it: its answer is missing. It is looked up, or the uncertain policy decides."
    ),
    State.HELD: "Nothing is tried until a person releases it or the configuration is fixed.",
    State.SENT: "Microsoft accepted it for delivery.",
    State.FAILED: "It is not tried again by itself.",
    State.CANCELLED: "A person withdrew it before it was sent.",
}


def anchor(word: str) -> str:
    """Return the fragment of a word's line on the page."""
    return "-".join(word.lower().split())


def shown(state: State) -> str:
    """Return the word that pages show for a state."""
    return state_words(state).title
