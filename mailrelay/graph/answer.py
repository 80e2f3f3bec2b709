"""An answer to one request, of Graph or of something that stood in its way, taken apart."""

import base64
import binascii
import json
import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from mailrelay.graph.http import Failure, Phase, Reply
from mailrelay.graph.redaction import safe_line, safe_text

RAW_LIMIT = 4_096  # characters of the reply kept for the admin
MESSAGE_LIMIT = 500
CODE_LIMIT = 100
#: Nobody's pause is longer than this, whatever a garbled Retry-After says; seconds.
RETRY_AFTER_LIMIT = 86_400.0
_NESTING = 10

_SECONDS = re.compile(r"\d{1,300}(?:\.\d{1,12})?", re.ASCII)
#: Days of a pause beyond which it is told in years, and years beyond which nobody counts.
_DAYS, _YEARS = 1_000, 10_000
_CLAIMS = re.compile(r'\bclaims="([A-Za-z0-9+/=_-]{1,8192})"')


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. Texts are bounded, printable and free of secrets, so that they can be stored and shown."""

    mailbox: str
    status: int | None  # None: there was no answer
    body_sent: bool  # every byte of the message was handed to the connection
    body_size: int  # bytes of the MIME, before base64
    phase: Phase
    duration: float  # seconds
    failure: Failure | None = None
    request_id: str = ""
    client_request_id: str = ""
    diagnostic: str = ""  # x-ms-ags-diagnostic: what Microsoft's support asks for
    retry_after: float | None = None  # seconds
    cut: str = ""  # says that a pause was asked for that is longer than any is kept
    code: str = ""  # of the outer error
    inner_codes: tuple[str, ...] = ()  # from the outside in
    message: str = ""
    is_graph: bool = False  # has Graph's request-id header
    is_json_error: bool = False  # has Graph's error object
    is_html: bool = False
    claims: str | None = None  # JSON of a claims challenge, for the next token
    raw: str = ""

    @property
    def codes(self) -> tuple[str, ...]:
        """All error codes, innermost first: the inner ones say more ("Walk them", Graph's error page)."""
        return (*reversed(self.inner_codes), *((self.code,) if self.code else ()))

    @property
    def is_proxy(self) -> bool:
        """Whether a page of something in between came instead of Graph's answer."""
        return self.status is not None and not self.is_graph and not self.is_json_error and self.is_html


def answer_of(reply: Reply, *, mailbox: str, body_size: int, secrets: Iterable[str] = ()) -> Answer:
    """Take a reply apart. `secrets` are masked should the other side have echoed them."""
    secrets = tuple(secrets)
    error = _error_object(reply)
    codes = list(_codes(error)) if error is not None else []
    return Answer(
        mailbox=mailbox,
        status=reply.status,
        body_sent=reply.body_sent,
        body_size=body_size,
        phase=reply.phase,
        duration=reply.duration,
        failure=reply.failure,
        request_id=safe_line(reply.headers.get("request-id", ""), CODE_LIMIT),
        client_request_id=safe_line(reply.headers.get("client-request-id", ""), CODE_LIMIT),
        diagnostic=safe_line(reply.headers.get("x-ms-ags-diagnostic", ""), MESSAGE_LIMIT),
        retry_after=retry_after(reply.headers),
        cut=cut(reply.headers),
        code=codes[0] if codes else "",
        inner_codes=tuple(codes[1:]),
        message=safe_line(str(error.get("message") or ""), MESSAGE_LIMIT, secrets=secrets) if error else "",
        is_graph="request-id" in reply.headers,
        is_json_error=error is not None,
        is_html=_is_html(reply),
        claims=_claims(reply.headers),
        raw=safe_text(reply.body, RAW_LIMIT, secrets=secrets),
    )


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait by Retry-After, a day at most; None if it is absent or says nothing sensible.

    `now` is unix seconds.
    """
    asked = _asked(headers, now)
    return None if asked is None else min(asked, RETRY_AFTER_LIMIT)


def cut(headers: Mapping[str, str]) -> str:
    """Say in a sentence that Retry-After asks for a longer pause than is kept; nothing where it does not."""
    asked = _asked(headers, None) or 0.0
    if asked <= RETRY_AFTER_LIMIT:
        return ""
    days = asked / RETRY_AFTER_LIMIT
    years = int(min(days / 365.25, _YEARS))
    span = f"{math.ceil(days)} days" if days < _DAYS else f"{years:,} years{' or more' * (years >= _YEARS)}"
    return f"It asks for a pause of {span} (Retry-After); the gateway asks again after one day."


def _asked(headers: Mapping[str, str], now: float | None) -> float | None:
    """Read Retry-After as seconds from now.

    Seconds (RFC 9110 section 10.2.3), a fraction of them ("2.128" in Microsoft's own sample), or a date,
    which is measured against the Date header, since our clock may differ from theirs.
    """
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    if _SECONDS.fullmatch(value):
        return float(value)
    until = _timestamp(value)
    if until is None:
        return None
    since = _timestamp(headers.get("Date", ""))
    base = since if since is not None else (time.time() if now is None else now)
    return max(0.0, until - base)


def _timestamp(value: str) -> float | None:
    try:
        stamp = parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return stamp if math.isfinite(stamp) else None


def parsed_json(reply: Reply) -> Any:
    """The reply's JSON, None if it is not complete or not JSON (a page of a proxy, nothing)."""
    if not reply.complete or not reply.body:
        return None
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        return None


def _error_object(reply: Reply) -> dict[str, Any] | None:
    document = parsed_json(reply)
    error = document.get("error") if isinstance(document, dict) else None
    return error if isinstance(error, dict) and isinstance(error.get("code"), str) else None


def _codes(error: dict[str, Any]) -> Iterator[str]:
    """Codes from the outside in. The property is innerError or innererror, by place and age."""
    level: Any = error
    for _ in range(_NESTING):
        if not isinstance(level, dict):
            return
        code = level.get("code")
        if isinstance(code, str) and code:
            yield safe_line(code, CODE_LIMIT)
        level = next((value for key, value in level.items() if key.lower() == "innererror"), None)


def _is_html(reply: Reply) -> bool:
    content_type = reply.headers.get("Content-Type", "").lower()
    return "html" in content_type or reply.body.lstrip()[:1] == b"<"


def _claims(headers: Mapping[str, str]) -> str | None:
    found = _CLAIMS.search(headers.get("WWW-Authenticate", ""))
    if not found:
        return None
    text = found[1]
    try:
        claims = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_").decode()
        return claims if isinstance(json.loads(claims), dict) else None
    except (binascii.Error, ValueError, RecursionError):
        return None
