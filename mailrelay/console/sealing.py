"""Hands data from a page to its next step through the browser, which can neither read nor change it."""

import json
import time
from typing import Any

from mailrelay.models.encrypted import WrongFieldKeyError, decrypt, encrypt

#: Seconds for which a step may be taken: long enough to read a page.
LIFETIME = 600.0


def seal(purpose: str, values: dict[str, Any]) -> str:
    """Close `values` under FIELD_ENCRYPTION_KEYS; `purpose` names the page, its object and the person."""
    return encrypt(json.dumps([purpose, time.time(), values]))


def unseal(purpose: str, text: str) -> dict[str, Any] | None:
    """Open what `seal` closed for the same purpose; None when it is another's, too old or tampered with."""
    try:
        sealed_for, at, values = json.loads(decrypt(text))
    except (WrongFieldKeyError, ValueError, TypeError):
        return None
    fresh = isinstance(at, int | float) and 0 <= time.time() - at <= LIFETIME
    return values if fresh and sealed_for == purpose and isinstance(values, dict) else None
