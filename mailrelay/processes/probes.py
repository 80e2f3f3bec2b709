"""The probes of this process, up before anything that may take its time."""

from django.conf import settings
from django.core.management.base import CommandError

from mailrelay.health import monitor as health
from mailrelay.health.front import Front, listen
from mailrelay.health.readiness import OK
from mailrelay.health.serving import PROBES, Application, HealthServer, web_application


def serve(django: Application | None = None, front: Front | None = None) -> HealthServer | None:
    """Serve the probes at HTTP_LISTEN, and Django's pages when given; None where it is `off`.

    `front` is what listens there already, if anything does. /ready says that the process is starting until
    `serving` is called. Raises CommandError when the address is not to be had.
    """
    health.monitor.process = health.STARTING
    if settings.HTTP_LISTEN is None:
        return None
    front = front or _listen(settings.HTTP_LISTEN)
    return HealthServer(front, web_application(django) if django else None)


def _listen(address: tuple[str, int]) -> Front:
    try:
        return Front(listen(*address), PROBES)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "that is no name of a host"
        raise CommandError(
            f"Cannot listen on {address[0]}:{address[1]} for probes and pages: {reason}. "
            "Set HTTP_LISTEN to another address, or to off."
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
