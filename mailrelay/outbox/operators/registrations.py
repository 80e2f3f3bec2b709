"""Changes of how mail leaves: a new credential, a fixed mailbox, another mailbox.

Each function may be called inside a transaction of the caller's, and is one of its own otherwise. None takes
the word of the change for it: what stood still is tried once, at once, and success sets the rest free.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime

from django.db.models import F, QuerySet

from mailrelay.models import AppRegistration, Mailbox, SenderConfig
from mailrelay.models.encrypted import WrongFieldKeyError
from mailrelay.outbox.db import clock
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.holding import mailbox_choice
from mailrelay.vocabulary import CredentialKind, Reason

#: What a new version of a credential changes in its row; the caller's other edits of the object stay.
RENEWED = ("version", "token_refused", "token_error", "retry_at")
#: The columns of the newer proof when there is none, and those of the older.
WITHOUT_NEWER = {
    "next_secret": "",
    "next_secret_expires_on": None,
    "next_certificate": "",
    "next_certificate_password": "",
    "next_certificate_expires_at": None,
}
WITHOUT_OLDER = {
    "secret": "",
    "secret_expires_on": None,
    "certificate": "",
    "certificate_password": "",
    "certificate_expires_at": None,
    "certificate_path": "",
    "token_file": "",
}


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A client secret, or a certificate with its key as text, and what is known of its end."""

    kind: CredentialKind
    value: str = field(repr=False)
    password: str = field(default="", repr=False)
    ends_on: date | None = None  # of a secret
    ends_at: datetime | None = None  # of a certificate

    @property
    def columns(self) -> dict[str, object]:
        """The columns that it is kept in."""
        if self.kind == CredentialKind.SECRET:
            return {"secret": self.value, "secret_expires_on": self.ends_on}
        return {
            "certificate": self.value,
            "certificate_password": self.password,
            "certificate_expires_at": self.ends_at,
        }


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


def add_credential(registration: AppRegistration, proof: NewCredential, version: int) -> bool:
    """Store a newer secret or certificate beside the one that is good; False when `version` is not current.

    It is tried first, and the older one whenever Entra ID refuses it. Of two that are stored, the one that
    got the last token stays. Where what is stored cannot be opened, the new one takes its place. Raises
    OutboxError, and ValueError for an empty proof.
    """
    if not proof.value:
        raise ValueError("A client secret or certificate cannot be empty.")

    def run() -> bool:
        rows = AppRegistration.objects.filter(pk=registration.pk)
        found = rows.select_for_update(no_key=True).values_list("version", "secret_in_use").get()
        if found[0] != version:
            return False
        if not _opens(rows):
            rows.update(kind=proof.kind, **{**WITHOUT_OLDER, **WITHOUT_NEWER, **proof.columns})
        else:
            if not found[1] or found[1].startswith("next_"):
                _promote(rows)
            newer = {f"next_{name}": value for name, value in proof.columns.items()}
            rows.update(**{**WITHOUT_NEWER, **newer}, secret_in_use="")
        _renew(registration)
        return True

    return _moved(registration, run)


def roll_back(registration: AppRegistration, version: int) -> bool:
    """Forget the newer proof, so that the older one is used alone; False when there was none to forget.

    Neither this nor `retire` does anything when `version` is not current. Both raise OutboxError.
    """

    def run() -> bool:
        rows = AppRegistration.objects.filter(pk=registration.pk, version=version)
        with_newer = rows.exclude(next_secret="", next_certificate="")
        if not with_newer.update(**WITHOUT_NEWER, secret_in_use=""):
            return False
        _renew(registration)
        return True

    return _moved(registration, run)


def retire(registration: AppRegistration, version: int) -> bool:
    """Forget the older proof, and let the newer one take its place; False when there was no newer one."""

    def run() -> bool:
        if not _promote(AppRegistration.objects.filter(pk=registration.pk, version=version)):
            return False
        _renew(registration)
        return True

    return _moved(registration, run)


def _moved(registration: AppRegistration, run: Callable[[], bool]) -> bool:
    moved = write(Move.REGISTER, run)
    registration.refresh_from_db(fields=RENEWED)
    return moved


def _promote(rows: QuerySet[AppRegistration]) -> bool:
    """Put the newer proof into the place of the older; the columns are copied as they lie, unopened."""
    secret = {"secret": F("next_secret"), "secret_expires_on": F("next_secret_expires_on")}
    certificate = {
        name: F(f"next_{name}") for name in ("certificate", "certificate_password", "certificate_expires_at")
    }
    for kind, columns in ((CredentialKind.CERTIFICATE, certificate), (CredentialKind.SECRET, secret)):
        with_newer = rows.exclude(**{f"next_{kind}": ""})
        if with_newer.update(kind=kind, secret_in_use=kind, **{**WITHOUT_OLDER, **columns, **WITHOUT_NEWER}):
            return True
    return False


def _opens(rows: QuerySet[AppRegistration]) -> bool:
    """Whether what is stored can be used at all."""
    try:
        rows.get()
    except WrongFieldKeyError:
        return False
    return True


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
        moved = mailbox_choice.move_waiting(sender)
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
