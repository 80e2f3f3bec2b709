"""The listener as one thing that starts, drains and ends."""

import asyncio
import errno
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mailrelay.routing.table import RoutingTable
from mailrelay.smtp.connections import Connections
from mailrelay.smtp.context import Acceptor, Context
from mailrelay.smtp.injection import Injector
from mailrelay.smtp.options import SmtpOptions
from mailrelay.smtp.port import Listener, Port
from mailrelay.smtp.session import Session

if TYPE_CHECKING:
    from concurrent.futures import Future

logger = logging.getLogger(__name__)

#: Connections that the kernel holds while the event loop is busy.
BACKLOG = 1024
#: How often a drain looks whether it is done, in seconds.
DRAIN_STEP = 0.02
_REASONS = {
    errno.EADDRINUSE: "another program listens there: stop it or choose another port",
    errno.EACCES: "ports below 1024 need a privilege: choose one above, such as 2525, or grant "
    "CAP_NET_BIND_SERVICE",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address",
}


class ListenError(Exception):
    """An address could not be bound; the text is a sentence for the operator."""


class SmtpService:
    """The SMTP server of a process: binds `listeners`, hands mail to `acceptor`.

    `directory` is called for each transaction and must answer from memory. All methods but `drain` and
    `start` may be called from any thread.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        routing: Callable[[], RoutingTable],
        acceptor: Acceptor,
        options: SmtpOptions,
    ) -> None:
        self._listeners = listeners
        self._context = Context(options, routing, acceptor)
        self._servers: list[asyncio.Server] = []
        self._looking: asyncio.TimerHandle | None = None
        self.ports: tuple[int, ...] = ()

    @property
    def connections(self) -> Connections:
        return self._context.connections

    @property
    def context(self) -> Context:
        return self._context

    async def start(self) -> None:
        """Bind all listeners and begin to serve. Raises ListenError; nothing stays bound then."""
        loop = asyncio.get_running_loop()
        try:
            for listener in self._listeners:
                self._servers.append(await self._listen(loop, listener))
        except ListenError:
            for server in self._servers:
                server.close()
            raise
        self._look_at_certificate(loop)
        self.ports = tuple(server.sockets[0].getsockname()[1] for server in self._servers)

    async def drain(self, seconds: float) -> None:
        """Take no more connections, let mail in transfer and in commit finish, end all within `seconds`."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        for server in self._servers:
            server.close()
        if self._looking is not None:
            self._looking.cancel()
        self.connections.draining = True
        for session in tuple(self.connections.open):
            session.drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.connections.none_open.wait(), end - loop.time())
        if self.connections.open:
            logger.warning("%d SMTP sessions did not end in time and were cut", len(self.connections.open))
        for session in tuple(self.connections.open):
            session.stop()
        await asyncio.sleep(DRAIN_STEP)
        self._context.executor.shutdown(wait=False)
        self._context.logins.close()

    def _look_at_certificate(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._context.certificates is not None:
            self._looking = loop.call_later(
                self._context.options.tls_reload_seconds, self._look_at_certificate, loop
            )
            self._context.certificates.refresh()

    async def _listen(self, loop: asyncio.AbstractEventLoop, listener: Listener) -> asyncio.Server:
        context = self._context
        port = Port(
            listener, context.options.hostname, context.options.max_message_size, context.certificates
        )
        try:
            server = await loop.create_server(
                lambda: Session(context, loop, port), listener.host, listener.port, backlog=BACKLOG
            )
        except OSError as error:
            reason = _REASONS.get(error.errno or 0, error.strerror or "the address cannot be used")
            raise ListenError(f"Cannot listen on {listener.name}: {reason}.") from error
        logger.info("listening on %s port %d", listener.host, server.sockets[0].getsockname()[1])
        return server


class ServiceThread:
    """Runs an SmtpService in a thread and event loop of its own."""

    def __init__(self, service: SmtpService) -> None:
        self.service = service
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="smtp", daemon=True)
        self._stopping = threading.Lock()

    def injector(self) -> Injector:
        """Make an injector beside the listeners: the same limits count for both."""
        return Injector(self.service.context, self._loop)

    def beside(self, work: Coroutine[Any, Any, None]) -> "Future[None]":
        """Run `work` in the listeners' event loop; it is to be cancelled before `stop`."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def start(self) -> None:
        """Return once all listeners are bound. Raises ListenError, and the thread is gone then."""
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.service.start(), self._loop).result()
        except ListenError:
            self._end()
            raise

    def stop(self, seconds: float) -> None:
        """Drain within `seconds` and end the thread; nothing happens the second time."""
        with self._stopping:
            if self._thread.is_alive():
                asyncio.run_coroutine_threadsafe(self.service.drain(seconds), self._loop).result()
                self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            with suppress(RuntimeError):
                self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
