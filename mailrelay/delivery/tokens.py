"""This process's tokens: kept in memory, renewed ahead, and how that goes noted for every process to see."""

import logging
import os
import threading
import time
from datetime import UTC, datetime, timedelta

from django.db.models import QuerySet

from mailrelay.delivery.credentials import certificate_end, credential_of, servable
from mailrelay.graph.credentials import Credential
from mailrelay.graph.http import GraphSession
from mailrelay.graph.tokens import Token, TokenStore, TokenUnavailable
from mailrelay.graph.verdict import Verdict
from mailrelay.models import AppRegistration
from mailrelay.outbox.db import clock, counters
from mailrelay.outbox.db.failpoints import Move
from mailrelay.outbox.db.writer import write
from mailrelay.outbox.holding import blame, configuration_holds
from mailrelay.outbox.holding.configuration_holds import PROBE_INTERVAL
from mailrelay.outbox.scheduling import scheduler
from mailrelay.periodic import PeriodicThread
from mailrelay.vocabulary import Outcome

log = logging.getLogger(__name__)

#: Seconds between two looks at what is about to expire.
INTERVAL = 5.0
#: How long before its end a secret or certificate is warned of, once a day.
NOTICE = timedelta(days=30)
DAY = timedelta(days=1)
#: Seconds for which nobody asks again after a failure.
REFUSAL_HOLDS = 5.0

_lock = threading.Lock()
_edge: tuple[int, GraphSession, TokenStore] | None = None


def graph_clients() -> tuple[GraphSession, TokenStore]:
    """Return this process's connections and tokens; a forked child makes its own."""
    global _edge  # noqa: PLW0603 - one a process is the point
    with _lock:
        if _edge is None or _edge[0] != os.getpid():
            session = GraphSession()
            store = TokenStore(session, on_refreshed=_refreshed, on_failed=_failed)
            _edge = (os.getpid(), session, store)
        return _edge[1], _edge[2]


def token_for(credential: Credential) -> Token:
    """Give a token that has not expired. Raises TokenUnavailable.

    Several mails may be in hand when Entra refuses: a refusal holds a moment for those that ask next, so
    that a burst of them is one request.
    """
    _, store = graph_clients()
    status = store.status(credential)
    if not status.valid and status.verdict is not None and status.failed_at is not None:
        age = time.time() - status.failed_at
        if 0 <= age < min(REFUSAL_HOLDS, PROBE_INTERVAL / 2):
            raise TokenUnavailable(status.verdict)
    return store.get(credential)


def _refreshed(credential: Credential, token: Token) -> None:
    ends = certificate_end(credential)

    def run() -> None:
        now = clock.now()
        counters.add(counters.TOKEN_REFRESHES)
        _row_of(credential).update(
            token_expires_at=datetime.fromtimestamp(token.expires_at, UTC),
            token_succeeded_at=now,
            secret_in_use=token.proof or ("secret" if credential.secret else ""),
            certificate_expires_at=ends,
            token_refused=False,
            token_error="",
        )

    write(Move.CREDENTIAL, run, durable=False)


def _failed(credential: Credential, verdict: Verdict) -> None:
    def run() -> None:
        counters.add(counters.TOKEN_FAILURES)
        _row_of(credential).update(
            token_failed_at=clock.now(),
            token_refused=verdict.outcome == Outcome.CONFIGURATION,
            token_error=f"{verdict.sentence} {verdict.advice}".strip(),
        )

    write(Move.CREDENTIAL, run, durable=False)


def _row_of(credential: Credential) -> QuerySet[AppRegistration]:
    """The row, while it is of the version that was tried: a late answer says nothing of a newer one."""
    pk, _, version = credential.key.partition(":")
    return AppRegistration.objects.filter(pk=int(pk), version=int(version))


class Keeper(PeriodicThread):
    """Has tokens at hand before mail needs them, and notices when a credential is fixed."""

    name = "tokens"
    interval = patience = INTERVAL

    def __init__(self) -> None:
        super().__init__()
        self._tried: dict[str, float] = {}
        self._warned: dict[str, datetime] = {}

    def run_once(self) -> None:
        _, store = graph_clients()
        for registration in AppRegistration.objects.filter(active=True).order_by("pk"):
            self._warn_of_endings(registration)
            if not servable(registration):
                continue
            credential = credential_of(registration)
            if store.status(credential).valid:
                store.renew_due([credential])
            elif self._may_try(registration, credential):
                self._try(registration, credential)

    def _warn_of_endings(self, registration: AppRegistration) -> None:
        """Say once a day what a person has to renew within NOTICE."""
        now = clock.now()
        for column, end in registration.endings().items():
            key = f"{registration.pk} {column}"
            if end - now < NOTICE and now - self._warned.get(key, now - DAY) >= DAY:
                self._warned[key] = now
                days = max(0, (end - now).days)
                log.warning("the %s of %s ends in %d days", column.replace("_", " "), registration.name, days)

    def _may_try(self, registration: AppRegistration, credential: Credential) -> bool:
        """Whether a credential without a token may be tried: at once when new, then once an interval.

        Where mail waits for it, the keepers of all processes and the mail itself share the one probe.
        """
        if registration.failing:
            due = registration.retry_at is not None and registration.retry_at <= clock.now()
            return due and write(
                Move.CREDENTIAL, lambda: configuration_holds.take_probe(registration.pk, clock.now())
            )
        now = time.monotonic()
        if now - self._tried.get(credential.key, -PROBE_INTERVAL) < PROBE_INTERVAL:
            return False
        self._tried[credential.key] = now
        return True

    def _try(self, registration: AppRegistration, credential: Credential) -> None:
        _, store = graph_clients()
        begun = clock.now()
        try:
            store.get(credential)
        except TokenUnavailable as unavailable:
            verdict = unavailable.verdict
            log.warning("no token for %s: %s", registration.name, verdict.sentence)
            if registration.failing:
                write(Move.CREDENTIAL, lambda: _still_failing(registration, verdict, begun))
            return
        if registration.failing:
            write(Move.CREDENTIAL, lambda: blame.fixed(registration, clock.now()))
            scheduler.wake()


def _still_failing(registration: AppRegistration, verdict: Verdict, begun: datetime) -> None:
    text = f"{verdict.sentence} {verdict.advice}".strip()
    blame.fault(registration.pk, verdict.reason, text, begun, clock.now(), verdict.retry_after)
