"""Django's pages behind the front: waitress, for connections whose request has begun."""

import socket
import threading
from collections.abc import Iterable
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from django.conf import settings
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

if TYPE_CHECKING:
    from mailrelay.health.serving import Application, Environ, StartResponse

#: Threads that make pages.
THREADS = 4
#: Bytes that a form may have beyond the largest message.
BODY_MARGIN = 1024 * 1024
#: Connections, in all and of one address; more get 503. A proxy of WEB_TRUSTED_PROXIES has no share.
CONNECTIONS, CONNECTIONS_OF_ONE = 100, 60
#: Seconds without a byte after which a connection is closed, and seconds for a whole request.
IDLE_SECONDS, REQUEST_SECONDS = 60, 600
#: Seconds between two looks for such connections.
CLEANUP_SECONDS = 5


class PageServer(TcpWSGIServer):  # type: ignore[misc]
    """Waitress without a listener of its own: the front hands connections in."""

    def __init__(self, application: "Application", listener: socket.socket) -> None:
        """Serve `application`; `listener` only tells the address that the pages have."""
        adjustments = Adjustments(
            sockets=[listener],
            ident=None,
            threads=THREADS,
            # Which proxy is believed is for `client_address` to judge, by WEB_TRUSTED_PROXIES.
            clear_untrusted_proxy_headers=False,
            # Waitress puts a body on disk before anybody has seen who sends it.
            max_request_body_size=settings.SMTP_MAX_MESSAGE_SIZE + BODY_MARGIN,
            channel_timeout=IDLE_SECONDS,
            cleanup_interval=CLEANUP_SECONDS,
            asyncore_use_poll=True,  # select() takes no file number above 1023, which a busy listener has
        )
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(THREADS)
        own = listener.dup()
        super().__init__(
            _bodiless_head(application),
            map={},
            _start=False,
            _sock=own,
            dispatcher=dispatcher,
            adj=adjustments,
            sockinfo=(own.family, own.type, own.proto, own.getsockname()),
            bind_socket=False,
        )
        self._begun: dict[Any, tuple[Any, float]] = {}
        self._thread = threading.Thread(target=self.run, name="http", daemon=True)
        self._thread.start()

    def refuses(self, host: str) -> bool:
        """Whether there are as many connections as there may be, in all or from `host`."""
        hosts = [channel.addr[0] for channel in list(self.active_channels.values())]
        return len(hosts) >= CONNECTIONS or (
            not self._is_proxy(host) and hosts.count(host) >= CONNECTIONS_OF_ONE
        )

    def _is_proxy(self, host: str) -> bool:
        return any(ip_address(host.partition("%")[0]) in network for network in settings.WEB_TRUSTED_PROXIES)

    def adopt(self, connection: socket.socket, address: Any) -> None:
        """Serve `connection`; any thread may call this."""
        self.trigger.pull_trigger(partial(self._adopt, connection, address))

    def _adopt(self, connection: socket.socket, address: Any) -> None:
        try:
            self.set_socket_options(connection)
        except OSError:
            connection.close()
            return
        self.channel_class(self, connection, self.fix_addr(address), self.adj, map=self._map)

    def maintenance(self, now: float) -> None:
        """Close what has been idle, and a request that has come too slowly."""
        super().maintenance(now)
        begun: dict[Any, tuple[Any, float]] = {}
        for channel in list(self.active_channels.values()):
            if (request := channel.request) is None:
                continue
            known, since = self._begun.get(channel, (None, now))
            begun[channel] = request, since if known is request else now
            if now - begun[channel][1] > REQUEST_SECONDS:
                channel.will_close = True
        self._begun = begun

    def stop(self) -> None:
        """End the threads; a page under way has five seconds."""
        self.task_dispatcher.shutdown()
        self.trigger.pull_trigger(self._close_all)
        self._thread.join(2.0)

    def _close_all(self) -> None:
        self.asyncore.close_all(self._map)


def _bodiless_head(application: "Application") -> "Application":
    """Answer HEAD without a body (RFC 9110, 9.3.2), which waitress leaves to the application."""

    def served(environ: "Environ", start_response: "StartResponse") -> Iterable[bytes]:
        body = application(environ, start_response)
        if environ["REQUEST_METHOD"] != "HEAD":
            return body
        if close := getattr(body, "close", None):
            close()
        return ()

    return served
