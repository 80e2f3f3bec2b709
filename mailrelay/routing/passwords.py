"""Passwords of people and SMTP clients: kept as scrypt hashes of 16 MiB at most, never as they are."""

import secrets
import threading

from django.contrib.auth.hashers import ScryptPasswordHasher

#: Bytes of memory that checking one password may take; a listener serves everybody else meanwhile.
MEMORY_LIMIT = 16 * 1024 * 1024
#: Without what people confuse when they type it on the panel of a printer.
ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
LENGTH = 20


class OneAtATime(ScryptPasswordHasher):
    """Computes one hash at a time in this process: several at once would be the end of a small container."""

    _turn = threading.Lock()

    def encode(
        self, password: str, salt: str, n: int | None = None, r: int | None = None, p: int | None = None
    ) -> str:
        with self._turn:
            return super().encode(password, salt, n, r, p)


_HASHER = OneAtATime()


def generate() -> str:
    """Make a password that every device takes: 20 letters and digits, 115 bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def make(password: str) -> str:
    """Hash `password` (50 to 300 ms of CPU, 16 MiB)."""
    return _HASHER.encode(password, _HASHER.salt())


def usable(encoded: str) -> bool:
    """Whether `encoded` is a hash that `matches` would compute."""
    try:
        parts = _HASHER.decode(encoded)
    except (AssertionError, ValueError):
        return False
    return 128 * int(parts["work_factor"]) * int(parts["block_size"]) <= MEMORY_LIMIT


def matches(password: str, encoded: str) -> bool:
    """Whether `password` is the one of `encoded`; never for a hash that would take more memory than that."""
    return usable(encoded) and _HASHER.verify(password, encoded)
