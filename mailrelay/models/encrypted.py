"""A text field whose column holds Fernet tokens under `FIELD_ENCRYPTION_KEYS`.

A token that no key opens is an error, never a value: using ciphertext as a secret would send it to Entra ID.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet


class WrongFieldKeyError(Exception):
    """A stored secret cannot be opened with any of FIELD_ENCRYPTION_KEYS."""


@lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> "MultiFernet":
    # Here, since cryptography costs 7 MiB, and a listener never opens a secret.
    from cryptography.fernet import Fernet, MultiFernet

    try:
        return MultiFernet([Fernet(key.strip()) for key in keys])
    except ValueError:
        raise ImproperlyConfigured(
            "FIELD_ENCRYPTION_KEYS holds something that is not a Fernet key (32 bytes, URL-safe base64)."
        ) from None


def encrypt(text: str) -> str:
    return _box(tuple(settings.FIELD_ENCRYPTION_KEYS)).encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """Open `token`. Raises WrongFieldKeyError when none of the keys fits."""
    from cryptography.fernet import InvalidToken

    try:
        return _box(tuple(settings.FIELD_ENCRYPTION_KEYS)).decrypt(token.encode()).decode()
    except InvalidToken:
        raise WrongFieldKeyError(
            "A stored secret cannot be opened: FIELD_ENCRYPTION_KEYS lacks the key it was saved under. "
            "Put that key back at the end of the list, or enter the secret again."
        ) from None


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """Plain text in Python, a Fernet token in the database; the empty string stays empty."""

    def get_prep_value(self, value: Any) -> Any:
        return encrypt(value) if value else value

    def from_db_value(self, value: str | None, *_: object) -> str | None:
        return decrypt(value) if value else value
