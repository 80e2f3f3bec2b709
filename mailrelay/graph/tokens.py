"""The last good token of each credential, kept outside msal and used to its very end while Entra is down."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field

from mailrelay.graph.credentials import Credential
from mailrelay.graph.entra import Token, TokenUnavailable, acquire
from mailrelay.graph.http import GraphSession
from mailrelay.graph.verdict import Verdict

log = logging.getLogger(__name__)

#: A credential that Entra could not serve is tried again by `renew_due` no sooner than this; seconds.
RENEWAL_PAUSE = 30.0

#: However long a Retry-After says, `get` asks again after this; it may have been a proxy's. Seconds.
QUIET_LIMIT = 300.0

OnRefreshed = Callable[[Credential, Token], None]
OnFailed = Callable[[Credential, Verdict], None]


@dataclass(frozen=True, slots=True)
class CredentialStatus:
    """How a credential stands in this process. Times are unix seconds."""

    key: str
    valid: bool  # a token is cached and has not expired
    expires_at: float | None = None
    roles: tuple[str, ...] | None = None
    succeeded_at: float | None = None  # of the last token, also if it has expired since
    failed_at: float | None = None  # of the last failure, if none succeeded since
    verdict: Verdict | None = None  # of that failure


@dataclass(slots=True)
class _Entry:
    """What is known of one credential; guarded by the store's lock."""

    token: Token | None = None
    flight: "Future[Token] | None" = None
    claims: str | None = None  # of a challenge that the next token has to meet
    succeeded_at: float | None = None
    failed_at: float | None = None
    verdict: Verdict | None = None
    not_before: float = 0.0  # Entra asked for quiet until then; unix seconds
    renewal_not_before: float = 0.0


@dataclass(slots=True)
class _Store:
    entries: dict[str, _Entry] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class TokenStore:
    """Tokens for any number of credentials and threads; one request at a time per credential.

    Belongs to one process: make it after a fork. The callbacks run in the thread that made the request,
    once per request, outside of all locks.
    """

    def __init__(
        self,
        session: GraphSession,
        *,
        on_refreshed: OnRefreshed | None = None,
        on_failed: OnFailed | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._on_refreshed = on_refreshed
        self._on_failed = on_failed
        self._clock = clock
        self._store = _Store()

    def get(self, credential: Credential) -> Token:
        """Give a token that has not expired, fetching one if need be. Raises TokenUnavailable."""
        with self._store.lock:
            entry = self._entry(credential)
            now = self._clock()
            if entry.token is not None and entry.token.holds(now):
                return entry.token
            if entry.verdict is not None and _is_near(entry.not_before, now, QUIET_LIMIT):
                raise TokenUnavailable(entry.verdict)
            flight, mine = self._join(entry)
        return self._fly(credential, entry, flight) if mine else _result(flight)

    def renew_due(self, credentials: Iterable[Credential], ahead: float = 600.0) -> None:
        """Renew cached tokens that expire within `ahead` seconds, short-lived ones at half their life.

        Never raises for Entra's sake: the old token stays in use to its end, `on_failed` and `status` tell.
        Credentials without a token are left to `get`, which the next mail calls.
        """
        for credential in credentials:
            with self._store.lock:
                entry = self._store.entries.get(credential.key)
                if entry is None or entry.flight is not None or not self._is_due(entry, ahead):
                    continue
                flight, _ = self._join(entry)
            try:
                self._fly(credential, entry, flight)
            except TokenUnavailable as unavailable:
                log.warning("%s", unavailable.verdict.sentence)

    def invalidate(self, credential: Credential, token_value: str, *, claims: str | None = None) -> None:
        """Drop a token that Graph refused, unless another has taken its place already.

        `claims` is the challenge that came with the refusal; the next token is asked for with it.
        """
        with self._store.lock:
            entry = self._store.entries.get(credential.key)
            if entry is not None and entry.token is not None and entry.token.value == token_value:
                entry.token = None
                entry.claims = claims

    def status(self, credential: Credential) -> CredentialStatus:
        """Tell how a credential stands, from memory."""
        with self._store.lock:
            entry = self._store.entries.get(credential.key) or _Entry()
            token = entry.token
            return CredentialStatus(
                key=credential.key,
                valid=token is not None and token.holds(self._clock()),
                expires_at=token.expires_at if token else None,
                roles=token.roles if token else None,
                succeeded_at=entry.succeeded_at,
                failed_at=entry.failed_at,
                verdict=entry.verdict,
            )

    def _entry(self, credential: Credential) -> _Entry:
        entries = self._store.entries
        if credential.key not in entries:
            prefix = f"{credential.registration}:"
            for outdated in [key for key in entries if key.startswith(prefix)]:
                del entries[outdated]  # a secret that was replaced has no business in memory
            entries[credential.key] = _Entry()
        return entries[credential.key]

    def _is_due(self, entry: _Entry, ahead: float) -> bool:
        now, token = self._clock(), entry.token
        if token is None or _is_near(entry.renewal_not_before, now, RENEWAL_PAUSE):
            return False
        if _is_near(entry.not_before, now, QUIET_LIMIT):
            return False
        lifetime = token.expires_at - token.acquired_at
        return token.expires_at - now <= min(ahead, lifetime / 2)

    def _join(self, entry: _Entry) -> tuple["Future[Token]", bool]:
        """Give the request that is under way, or a new one that is the caller's to make."""
        if entry.flight is not None:
            return entry.flight, False
        entry.flight = Future()
        return entry.flight, True

    def _fly(self, credential: Credential, entry: _Entry, flight: "Future[Token]") -> Token:
        try:
            token = acquire(credential, self._session, claims=entry.claims)
        except TokenUnavailable as unavailable:
            self._note_failure(entry, unavailable.verdict)
            flight.set_exception(unavailable)
            _tell(self._on_failed, credential, unavailable.verdict)
            raise
        except BaseException as error:
            with self._store.lock:
                entry.flight = None
            flight.set_exception(error)
            raise
        self._note_success(entry, token)
        flight.set_result(token)
        _tell(self._on_refreshed, credential, token)
        return token

    def _note_success(self, entry: _Entry, token: Token) -> None:
        with self._store.lock:
            entry.token, entry.flight, entry.claims = token, None, None
            entry.succeeded_at, entry.failed_at, entry.verdict = self._clock(), None, None

    def _note_failure(self, entry: _Entry, verdict: Verdict) -> None:
        with self._store.lock:
            now = self._clock()
            entry.flight, entry.failed_at, entry.verdict = None, now, verdict
            entry.not_before = now + min(verdict.retry_after or 0.0, QUIET_LIMIT)
            entry.renewal_not_before = now + RENEWAL_PAUSE


def _is_near(moment: float, now: float, most: float) -> bool:
    """Whether a moment is still to come; one further ahead than `most` was set by a clock that was ahead."""
    return now < moment <= now + most


def _result(flight: "Future[Token]") -> Token:
    """Wait for another thread's request; its failure is raised afresh, tracebacks belong to threads."""
    try:
        return flight.result()
    except TokenUnavailable as unavailable:
        raise TokenUnavailable(unavailable.verdict) from None


def _tell(callback: Callable[..., None] | None, *args: object) -> None:
    """Call back; a listener that fails must not cost a token that is good."""
    if callback is None:
        return
    try:
        callback(*args)
    except Exception:
        log.exception("A listener for token events failed; the token itself is not affected.")


__all__ = ["CredentialStatus", "Token", "TokenStore", "TokenUnavailable"]
