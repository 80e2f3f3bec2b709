"""Answers of `/health`, `/ready` and `/metrics`: from memory, before Django, without a host check."""

import json
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from mailrelay.health import pulse
from mailrelay.health.exposition import QueueCollector
from mailrelay.health.front import Answer, Front, Probe
from mailrelay.health.monitor import monitor

if TYPE_CHECKING:
    from mailrelay.health.pages import PageServer

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

#: Seconds for which a page waits for the first look at the database.
FIRST_LOOK = 5.0

_collector_lock = threading.Lock()
_collector: QueueCollector | None = None


def health() -> Answer:
    fault = pulse.fault()
    status = HTTPStatus.SERVICE_UNAVAILABLE if fault else HTTPStatus.OK
    return _json(status, {"status": fault or "ok"})


def ready() -> Answer:
    checks = monitor.checks()
    failed = sorted(name for name, state in checks.items() if state != "ok")
    status = HTTPStatus.SERVICE_UNAVAILABLE if failed else HTTPStatus.OK
    return _json(status, {"ready": not failed, "failed": failed, "checks": checks})


def metrics() -> Answer:
    return Answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))


PROBES: dict[str, Probe] = {"/health": health, "/ready": ready}
SLOW_PROBES: dict[str, Probe] = {"/metrics": metrics}


def _json(status: HTTPStatus, body: dict[str, Any]) -> Answer:
    return Answer(status, "application/json", json.dumps(body).encode() + b"\n")


def web_application(django: Application) -> Application:
    """Put the probes in front of Django's application, and start looking.

    Until the tables are there, pages answer 503 with what is missing; probes answer from the first moment.
    """
    begin_to_look()
    answers = PROBES | SLOW_PROBES

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        monitor.start()  # again in a child that was forked after the first
        probe = answers.get(environ.get("PATH_INFO", ""))
        if probe is not None:
            return _by_wsgi(probe(), start_response)
        if not monitor.wait_for_tables(FIRST_LOOK):
            return _by_wsgi(_NOT_YET, start_response)
        return django(environ, start_response)

    return application


def _by_wsgi(answer: Answer, start_response: StartResponse) -> Iterable[bytes]:
    headers = [("Content-Type", answer.content_type), ("Cache-Control", "no-store")]
    if answer is _NOT_YET:
        headers.append(("Retry-After", "5"))
    start_response(f"{answer.status.value} {answer.status.phrase}", headers)
    return [answer.body]


_NOT_YET = Answer(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "text/plain",
    b"The database is not ready for this page; /ready says what is the matter.\n",
)


def begin_to_look() -> None:
    """Start the monitor, and hand its figures to Prometheus once a process."""
    global _collector  # noqa: PLW0603 - Prometheus takes a collector once a process
    with _collector_lock:
        if _collector is None:
            _collector = QueueCollector(monitor)
            REGISTRY.register(_collector)
    monitor.start()


def _page_server(application: Application, front: Front) -> "PageServer":
    from mailrelay.health.pages import PageServer  # a process without pages has no use for waitress

    return PageServer(application, front.listeners[0])


class HealthServer:
    """Serves the probes at `front`, and behind it what `web_application` made, if anything."""

    def __init__(self, front: Front, application: Application | None) -> None:
        self._front = front
        self._pages = _page_server(application, front) if application else None
        front.pages, front.slow_probes, front.probes = self._pages, SLOW_PROBES, PROBES
        front.without_pages = HTTPStatus.NOT_FOUND
        begin_to_look()
        front.start()

    @property
    def port(self) -> int:
        return self._front.port

    def stop(self) -> None:
        self._front.stop()
        if self._pages is not None:
            self._pages.stop()
        monitor.stop()
