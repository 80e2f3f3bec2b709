"""The listener with what it needs: the configuration in memory, the acceptor, and the scheduler's ear."""

import hashlib
import logging
import resource
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError

from mailrelay.outbox.accepting.accept import Acceptor
from mailrelay.outbox.operators import environment
from mailrelay.outbox.scheduling import scheduler
from mailrelay.processes.loop_signs import smtp_loop_signs
from mailrelay.processes.page_cache import PageCache
from mailrelay.routing.watch import ConfigurationWatch
from mailrelay.smtp import injection
from mailrelay.smtp.budget import bytes_in_transfer
from mailrelay.smtp.client_log import Recorder
from mailrelay.smtp.options import SmtpOptions
from mailrelay.smtp.service import ListenError, ServiceThread, SmtpService

logger = logging.getLogger(__name__)

#: Files that a process has open beside one connection and one spool file for each client.
OTHER_FILES = 200


class Relay:
    """The SMTP server of this process, from bind to drain."""

    def __init__(self) -> None:
        environment.upsert()
        _allow_files(2 * settings.SMTP_MAX_CONNECTIONS + OTHER_FILES)
        self._watch = ConfigurationWatch()
        self._refuse_open_relay()
        self._acceptor = Acceptor(accepted=scheduler.wake)
        service = SmtpService(settings.SMTP_LISTENERS, self._watch, self._acceptor, options())
        self._thread = ServiceThread(service)
        self._recorder = Recorder(service.context.client_log)
        self._page_cache = PageCache()

    def start(self) -> None:
        """Return once every listener is bound. Raises CommandError with the address that is not to be had."""
        # Before: anyone who sees the listener may hand in mail by HTTP as well.
        injection.provide(self._thread.injector)
        try:
            self._thread.start()
        except ListenError as error:
            raise CommandError(str(error)) from None
        self._signs = self._thread.beside(smtp_loop_signs())
        self._recorder.start()
        self._page_cache.start()

    def drain(self) -> None:
        """Take no more mail; let what is in transfer finish. Ends within SMTP_DRAIN_SECONDS and a little."""
        injection.provide(None)
        self._signs.cancel()
        self._thread.stop(float(settings.SMTP_DRAIN_SECONDS))
        self._recorder.stop()
        self._page_cache.stop()
        self._acceptor.close()
        self._watch.stop()

    def _refuse_open_relay(self) -> None:
        """A listener beyond loopback that lets in nobody from there is a mistake; say so at once."""
        beyond = [listener for listener in settings.SMTP_LISTENERS if not listener.loopback]
        networks = [
            network for client in self._watch().clients if not client.login for network in client.networks
        ]
        certificate = bool(settings.SMTP_TLS_CERT_FILE)
        if any(listener.takes_logins(certificate=certificate) for listener in beyond):
            return
        if any(not network.is_loopback for network in networks):
            return
        if beyond:
            raise CommandError(
                f"{beyond[0].name} listens beyond this machine, but nobody there may send. Set "
                "SMTP_ALLOWED_NETWORKS to the networks of your clients (the word private is RFC 1918 "
                "and its like), or let clients log in: SMTP_TLS_CERT_FILE brings STARTTLS and AUTH. "
                "(gateway.E011)"
            )


def _allow_files(count: int) -> None:
    """Let this process have `count` files and connections open, as far as the system lets it ask for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < count:
        logger.warning(
            "only %d files may be open, fewer than SMTP_MAX_CONNECTIONS may need (%d): raise the limit of "
            "the service (ulimit -n, LimitNOFILE=)",
            wanted,
            count,
        )


def options() -> SmtpOptions:
    certificate, key = settings.SMTP_TLS_CERT_FILE, settings.SMTP_TLS_KEY_FILE
    return SmtpOptions(
        hostname=settings.SMTP_HOSTNAME,
        max_message_size=settings.SMTP_MAX_MESSAGE_SIZE,
        max_recipients=settings.SMTP_MAX_RECIPIENTS,
        data_dir=settings.DATA_DIR if settings.DATA_DIR.is_dir() else None,
        max_connections=settings.SMTP_MAX_CONNECTIONS,
        max_connections_per_client=settings.SMTP_MAX_CONNECTIONS_PER_CLIENT,
        max_bytes_in_transfer=bytes_in_transfer(settings.SMTP_MAX_BYTES_IN_TRANSFER),
        command_seconds=float(settings.SMTP_IDLE_SECONDS),
        tls_certificate=Path(certificate) if certificate else None,
        tls_key=Path(key) if key else None,
        loop_token=loop_token(),
    )


def loop_token() -> str:
    """Name this installation, the same in all its processes, without telling anybody its key."""
    key = hashlib.sha256(b"loop\0" + settings.SECRET_KEY.encode())
    return key.hexdigest()[:16]
