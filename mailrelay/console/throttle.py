"""Failed logins are limited by name and by address, before a password is hashed.

Each bucket holds some tries and refills with time; a login that succeeds gives its tries back. The name alone
has room for more than one address uses up, so that a stranger cannot keep its owner out from elsewhere.
"""

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, NamedTuple

from django.contrib.auth import signals
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Least
from django.dispatch import receiver
from django.http import HttpRequest

from mailrelay.console.protection import client_address
from mailrelay.models import LoginBucket
from mailrelay.outbox.db import clock
from mailrelay.smtp.hosts import host_of


class Bucket(NamedTuple):
    """Tries at once, and seconds until one more may be made."""

    key: str
    tries: int
    seconds: float


#: Each bucket is full again after this time, and its row of no more use.
FULL = timedelta(hours=1)
_GRANTED = "_login_buckets"


def buckets(name: str, address: str) -> tuple[Bucket, ...]:
    """List what a try of `name` from `address` counts in. Names are hashed: people type passwords there."""
    host = _host(address)
    who = hashlib.sha256(name.strip().lower().encode(errors="replace")).hexdigest()[:32]
    return (
        Bucket(f"pair:{who}:{host}"[:80], 5, 60),
        Bucket(f"address:{host}"[:80], 30, 20),
        Bucket(f"name:{who}", 100, 36),
    )


def _host(address: str) -> str:
    """Give what `address` counts as; what a proxy wrote may be none, and counts as what it is."""
    try:
        return host_of(address)
    except ValueError:
        return address


def take(wanted: Iterable[Bucket]) -> bool:
    """Count one try in each bucket, or in none where one of them is empty."""
    now = clock.now()
    with transaction.atomic():
        LoginBucket.objects.filter(filled_at__lt=now - FULL).delete()
        left = []
        # Always in the same order, so that two logins never wait for each other.
        for bucket in sorted(wanted):
            start = {"tokens": bucket.tries, "filled_at": now}
            LoginBucket.objects.get_or_create(key=bucket.key, defaults=start)
            row = LoginBucket.objects.select_for_update().get(key=bucket.key)
            refilled = max(0.0, (now - row.filled_at).total_seconds()) / bucket.seconds
            left.append((row, min(float(bucket.tries), row.tokens + refilled)))
        if any(tokens < 1 for _, tokens in left):
            return False
        for row, tokens in left:
            LoginBucket.objects.filter(pk=row.pk).update(tokens=tokens - 1, filled_at=now)
    return True


def give_back(granted: Iterable[Bucket]) -> None:
    """Take the try back that turned out well."""
    for bucket in granted:
        LoginBucket.objects.filter(key=bucket.key).update(
            tokens=Least(F("tokens") + 1.0, float(bucket.tries))
        )


class ThrottledBackend(ModelBackend):
    """Django's own accounts, asked only while there are tries left."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """Return the account. Raises PermissionDenied when too many tries failed; no password is hashed."""
        wanted = buckets(username or "", client_address(request) if request is not None else "")
        granted = take(wanted)
        if request is not None:
            setattr(request, _GRANTED, wanted if granted else ())
        if not granted:
            raise PermissionDenied("Too many logins failed.")
        return super().authenticate(request, username, password, **kwargs)


def was_throttled(request: HttpRequest | None) -> bool:
    """Whether the login of this request was refused unlooked at."""
    return getattr(request, _GRANTED, None) == ()


@receiver(signals.user_logged_in, dispatch_uid="login-tries")
def _succeeded(request: HttpRequest, **_: Any) -> None:
    give_back(getattr(request, _GRANTED, ()))
