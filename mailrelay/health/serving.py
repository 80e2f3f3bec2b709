"""`/health`, `/ready` and `/metrics` as WSGI, before Django: no host check, no database, no session."""

import json
import logging
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import waitress
from django.conf import settings
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from waitress.task import ThreadedTaskDispatcher

from mailrelay.health import pulse
from mailrelay.health.exposition import QueueCollector
from mailrelay.health.monitor import monitor

if TYPE_CHECKING:
    from waitress.server import BaseWSGIServer

log = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

#: Threads for pages, and for probes beside them.
PAGE_THREADS, PROBE_THREADS = 4, 2
#: Bytes that a form may have beyond the largest message.
BODY_MARGIN = 1024 * 1024
#: Seconds for which a page waits for the first look at the database.
FIRST_LOOK = 5.0

_collector_lock = threading.Lock()
_collector: QueueCollector | None = None


def web_application(django: Application) -> Application:
    """Put the probes in front of Django's application, and start looking.

    Until the tables are there, pages answer 503 with what is missing; probes answer from the first moment.
    """
    _expose()
    monitor.start()

    def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        monitor.start()  # again in a child that was forked after the first
        answer = PATHS.get(environ.get("PATH_INFO", ""))
        if answer is not None:
            return answer(start_response)
        if not monitor.wait_for_tables(FIRST_LOOK):
            return _not_yet(start_response)
        return django(environ, start_response)

    return application


def _health(start_response: StartResponse) -> Iterable[bytes]:
    if fault := pulse.fault():
        return _json(start_response, "503 Service Unavailable", {"status": fault})
    return _json(start_response, "200 OK", {"status": "ok"})


def _ready(start_response: StartResponse) -> Iterable[bytes]:
    checks = monitor.checks()
    failed = sorted(name for name, state in checks.items() if state != "ok")
    status = "503 Service Unavailable" if failed else "200 OK"
    return _json(start_response, status, {"ready": not failed, "failed": failed, "checks": checks})


def _metrics(start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
    return [generate_latest(REGISTRY)]


PATHS: dict[str, Callable[[StartResponse], Iterable[bytes]]] = {
    "/health": _health,
    "/ready": _ready,
    "/metrics": _metrics,
}


def _json(start_response: StartResponse, status: str, body: dict[str, Any]) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
    return [json.dumps(body).encode() + b"\n"]


def _not_yet(start_response: StartResponse) -> Iterable[bytes]:
    start_response("503 Service Unavailable", [("Content-Type", "text/plain"), ("Retry-After", "5")])
    return [b"The database is not ready for this page; /ready says what is the matter.\n"]


def _not_found(_: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"This process serves /health, /ready and /metrics.\n"]


def _expose() -> None:
    global _collector  # noqa: PLW0603 - Prometheus takes a collector once a process
    with _collector_lock:
        if _collector is None:
            _collector = QueueCollector(monitor)
            REGISTRY.register(_collector)


class _Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Waitress's threads for pages, and others for probes: pages that hang never hold a probe up."""

    def __init__(self) -> None:
        super().__init__()
        self.set_thread_count(PAGE_THREADS)
        self._probes = ThreadedTaskDispatcher()
        self._probes.set_thread_count(PROBE_THREADS)

    def add_task(self, task: Any) -> None:
        """Take a connection with a request on it, as waitress hands it over."""
        probe = any(getattr(request, "path", "") in PATHS for request in task.requests[:1])
        (self._probes.add_task if probe else super().add_task)(task)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        """End the threads, waiting `timeout` seconds at most for each kind."""
        self._probes.shutdown(cancel_pending, timeout)
        return bool(super().shutdown(cancel_pending, timeout))


class HealthServer:
    """Serves the probes, and Django's pages when given its application, from a few threads."""

    def __init__(self, address: tuple[str, int], django: Application = _not_found) -> None:
        """Bind to `address`. Raises OSError when that cannot be had."""
        host, port = address
        self._server: BaseWSGIServer = waitress.create_server(
            web_application(django),
            host=host,
            port=port,
            _dispatcher=_Dispatcher(),
            ident=None,
            # Which proxy is believed is for `client_address` to judge, by WEB_TRUSTED_PROXIES.
            clear_untrusted_proxy_headers=False,
            # Waitress puts a body on disk before anybody has seen who sends it.
            max_request_body_size=settings.SMTP_MAX_MESSAGE_SIZE + BODY_MARGIN,
        )
        self._thread = threading.Thread(target=self._server.run, name="http", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.effective_port)

    def stop(self) -> None:
        self._server.close()
        monitor.stop()
        self._thread.join(2.0)
