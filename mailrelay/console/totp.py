"""Codes of an authenticator: RFC 6238 with the values that all of them take (SHA-1, 30 s, 6 digits)."""

import base64
import hashlib
import hmac
import secrets
import struct
from urllib.parse import quote, urlencode

from django.contrib.auth.base_user import AbstractBaseUser

from mailrelay.models import SecondFactor
from mailrelay.outbox.db import clock

SECONDS = 30
#: Steps that a clock may be early or late (RFC 6238 section 5.2).
WINDOW = 1


def generate() -> str:
    """Make a key of 160 bits (RFC 4226 section 4), in base32."""
    return base64.b32encode(secrets.token_bytes(20)).decode()


def code(key: bytes, step: int, digits: int = 6) -> str:
    """Return the code of a time step: RFC 4226 section 5.3."""
    digest = hmac.new(key, struct.pack(">Q", step), hashlib.sha1).digest()
    offset = digest[-1] & 15
    (number,) = struct.unpack_from(">I", digest, offset)
    return str((number & 0x7FFFFFFF) % 10**digits).zfill(digits)


def matching_step(secret: str, typed: str, now: float) -> int | None:
    """Return the time step whose code was typed at `now` (Unix seconds), or None."""
    typed = "".join(typed.split())
    current, key = int(now // SECONDS), base64.b32decode(secret)
    steps = range(current - WINDOW, current + WINDOW + 1)
    # Each is compared, and in constant time.
    found = [step for step in steps if hmac.compare_digest(code(key, step).encode(), typed.encode())]
    return found[-1] if found else None


def address(secret: str, name: str, issuer: str) -> str:
    """Make the otpauth: address that authenticators import."""
    query = urlencode({"secret": secret, "issuer": issuer}, quote_via=quote)
    return f"otpauth://totp/{quote(issuer)}:{quote(name)}?{query}"


def factor_of(user: AbstractBaseUser) -> SecondFactor | None:
    """Return the confirmed second factor of a person."""
    return SecondFactor.objects.filter(user_id=user.pk, confirmed_at__isnull=False).first()


def accept(factor: SecondFactor, typed: str) -> bool:
    """Whether `typed` is the code of now; each code is accepted once."""
    step = matching_step(factor.secret, typed, clock.now().timestamp())
    if step is None:
        return False
    rows = SecondFactor.objects.filter(pk=factor.pk, last_step__lt=step)
    return bool(rows.update(last_step=step))
