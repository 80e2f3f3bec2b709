"""The probes of this process, up before anything that may take its time."""

from django.conf import settings
from django.core.management.base import CommandError

from mailrelay.health import monitor as health
from mailrelay.health.readiness import OK
from mailrelay.health.serving import Application, HealthServer


def serve(django: Application | None = None) -> HealthServer | None:
    """Serve the probes at HTTP_LISTEN, and Django's pages when given; None where it is `off`.

    /ready says that the process is starting until `serving` is called. Raises CommandError when the address
    is not to be had.
    """
    health.monitor.process = health.STARTING
    if settings.HTTP_LISTEN is None:
        return None
    try:
        return HealthServer(settings.HTTP_LISTEN, django) if django else HealthServer(settings.HTTP_LISTEN)
    except OSError as error:
        host, port = settings.HTTP_LISTEN
        raise CommandError(
            f"Cannot listen on {host}:{port} for probes and pages: {error.strerror}. Set HTTP_LISTEN to "
            "another address, or to off."
        ) from None


def serving() -> None:
    """Say that this process takes work."""
    health.monitor.process = OK


def ending() -> None:
    """Say that this process is to be given no more."""
    health.monitor.process = health.ENDING


def stop(server: HealthServer | None) -> None:
    if server is not None:
        server.stop()
