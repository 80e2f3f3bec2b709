"""What follows when a person changes how mail leaves: a new credential, a mended mailbox, another mailbox.

Each function may be called inside a transaction of the caller's, and is one of its own otherwise. None takes
the word of the change for it: what stood still is tried once, at once, and success sets the rest free.
"""

from django.db.models import F, QuerySet

from mailrelay.models import AppRegistration, Delivery, Mailbox, SenderConfig
from mailrelay.outbox import clock
from mailrelay.outbox.failpoints import Move
from mailrelay.outbox.writer import write
from mailrelay.vocabulary import Reason, State

#: Deliveries that nobody has in hand, and that still want to be sent.
WAITING = (State.QUEUED, State.DEFERRED, State.HELD)
#: What a new version of a credential changes in its row; the caller's other edits of the object stay.
RENEWED = ("version", "token_refused", "token_error", "retry_at")


def replace_secret(registration: AppRegistration, secret: str) -> None:
    """Store a new client secret, which every process uses from its next token on. See `renew`.

    Raises OutboxError when the database does not take it, and ValueError for an empty secret.
    """
    if not secret:
        raise ValueError("A client secret cannot be empty.")

    def run() -> None:
        AppRegistration.objects.filter(pk=registration.pk).update(secret=secret)
        _renew(registration)

    write(Move.REGISTER, run)
    registration.refresh_from_db(fields=["secret", *RENEWED])


def add_secret(registration: AppRegistration, secret: str) -> None:
    """Store a newer client secret beside the one that is good; of two that are stored, the newer one stays.

    It is tried first, and the older one whenever Entra ID refuses it. Raises as `replace_secret` does, and
    WrongFieldKeyError when the secret that stays cannot be opened.
    """
    if not secret:
        raise ValueError("A client secret cannot be empty.")

    def run() -> None:
        rows = AppRegistration.objects.filter(pk=registration.pk)
        stored, ends = rows.select_for_update().values_list("next_secret", "next_secret_expires_on").get()
        if stored:
            rows.update(secret=stored, secret_expires_on=ends)
        rows.update(next_secret=secret, next_secret_expires_on=None)
        _renew(registration)

    write(Move.REGISTER, run)
    registration.refresh_from_db(fields=["secret", "next_secret", *RENEWED])


def renew(registration: AppRegistration) -> None:
    """Make the credential of `registration` a new version after any part of it was changed.

    Tokens are kept by version, so that every process asks for a new one. A registration that was failing is
    tried at once, and so is each of its mailboxes whose mail is held; mail flows again when that succeeds.
    """
    write(Move.REGISTER, lambda: _renew(registration))
    registration.refresh_from_db(fields=RENEWED)


def try_now(mailbox: Mailbox) -> None:
    """Try a mailbox at once, after its configuration was changed."""
    write(Move.REGISTER, lambda: _try_now(Mailbox.objects.filter(pk=mailbox.pk)))


def follow_mailbox(sender: SenderConfig) -> int:
    """Let the mail of `sender` that waits go through the mailbox that it has now; return the deliveries."""

    def run() -> int:
        waiting = Delivery.objects.filter(sender=sender, state__in=WAITING)
        moved = waiting.exclude(mailbox=sender.mailbox_id).update(mailbox=sender.mailbox_id)
        if moved:
            _try_now(Mailbox.objects.filter(pk=sender.mailbox_id))
        return moved

    return write(Move.REGISTER, run)


def _renew(registration: AppRegistration) -> None:
    now = clock.now()
    row = AppRegistration.objects.filter(pk=registration.pk)
    row.update(version=F("version") + 1, token_refused=False, token_error="")
    row.exclude(failing=Reason.NONE).update(retry_at=now)
    _try_now(Mailbox.objects.filter(registration=registration.pk))


def _try_now(mailboxes: QuerySet[Mailbox]) -> None:
    now = clock.now()
    mailboxes.exclude(blocked=Reason.NONE).update(probe_at=now)
    mailboxes.update(wake_at=now)
