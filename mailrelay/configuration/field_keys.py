"""The keys that stored secrets lie under: whether they fit, and how secrets come under a new one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models.functions import Cast

from mailrelay.models.encrypted import EncryptedTextField, WrongFieldKeyError, decrypt
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write


@dataclass(frozen=True, slots=True)
class Stored:
    """One encrypted value as it lies in the database."""

    model: type[models.Model]
    column: str
    pk: Any
    token: str

    @property
    def name(self) -> str:
        return f"{self.column.replace('_', ' ')} of {self.model._meta.verbose_name} {self.pk}"  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation did: values put under the first key, values that were, and those that no key opens."""

    renewed: int
    current: int
    unreadable: tuple[str, ...]


def stored() -> Iterator[Stored]:
    """Yield every encrypted value, unopened."""
    for model in apps.get_app_config("mailrelay").get_models():
        for field in model._meta.concrete_fields:  # noqa: SLF001 - Django's documented name for it
            if isinstance(field, EncryptedTextField):
                for pk, token in _tokens(model, field.name).exclude(token="").values_list("pk", "token"):
                    yield Stored(model, field.name, pk, token)


def _tokens(model: type[models.Model], column: str) -> "models.QuerySet[Any]":
    # A cast has the type of plain text, so that the column's own decryption stays out of it.
    return model._default_manager.annotate(token=Cast(column, models.TextField()))  # noqa: SLF001


def unreadable() -> list[str]:
    """Name the stored secrets that none of FIELD_ENCRYPTION_KEYS opens."""
    return [value.name for value in stored() if _opened(value) is None]


def rotate() -> Rotation:
    """Put every stored secret under the first of FIELD_ENCRYPTION_KEYS; safe to repeat and to break off.

    A value that somebody changes meanwhile is left to them: it is under the first key then.
    Raises OutboxError when the database does not take a write.
    """
    renewed, current, lost = 0, 0, []
    for value in list(stored()):
        plain = _opened(value)
        if plain is None:
            lost.append(value.name)
        elif _is_under_first(value):
            current += 1
        else:
            renewed += _replace(value, plain)
    return Rotation(renewed, current, tuple(lost))


def _replace(value: Stored, plain: str) -> int:
    mine = _tokens(value.model, value.column).filter(pk=value.pk, token=value.token)
    return write(Move.REGISTER, lambda: mine.update(**{value.column: plain}))


def _opened(value: Stored) -> str | None:
    try:
        return decrypt(value.token)
    except WrongFieldKeyError:
        return None


def _is_under_first(value: Stored) -> bool:
    from cryptography.fernet import Fernet, InvalidToken

    try:
        Fernet(settings.FIELD_ENCRYPTION_KEYS[0].strip()).decrypt(value.token.encode())
    except InvalidToken:
        return False
    return True
