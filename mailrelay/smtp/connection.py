"""A connection's life: admission, the command loop, deadlines, replies, drain and end."""

import asyncio
import logging
import re
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum
from ipaddress import ip_address
from typing import Any, ClassVar

from aiosmtpd.smtp import SMTP
from prometheus_client import Counter

from mailrelay import metrics
from mailrelay.routing.table import IPNetwork
from mailrelay.smtp import replies
from mailrelay.smtp.commands import parse_command
from mailrelay.smtp.context import Context
from mailrelay.smtp.data import READ_LIMIT
from mailrelay.smtp.deadlines import Deadline
from mailrelay.smtp.line_endings import LineHabit
from mailrelay.smtp.port import Port
from mailrelay.smtp.replies import Reply, printable
from mailrelay.smtp.transaction import Peer, Transaction
from mailrelay.smtp.transfer import Transfer

logger = logging.getLogger(__name__)

#: For what was written last to reach a client that does not read, before the connection is cut.
LINGER_SECONDS = 5.0
_HTTP = re.compile(
    rb"(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|CONNECT|PATCH|TRACE|PRI) \S+ HTTP/\d", re.IGNORECASE
)
#: Refusals by one rule that a session logs.
LOGGED_REFUSALS = 50
#: Commands that bring no mail nearer.
_IDLING = frozenset({"EHLO", "HELO", "HELP", "NOOP", "RSET", "VRFY"})
#: The counters of replies by code: finding one costs more than counting.
_REPLIES: dict[str, Counter] = {}


class Phase(Enum):
    OPENING = "opening"  # a proxy's header or a TLS handshake: nothing can be said
    COMMAND = "command"  # waits for a command, or carries one out
    DATA = "data"  # reads the content of a mail
    COMMIT = "commit"  # waits for the queue of record; nothing may disturb it
    OVER = "over"  # the last reply is written


class Connection(SMTP):
    """One SMTP connection on aiosmtpd's protocol class, with its own loop around the commands.

    The stock class cancels the commit when a client half-closes, answers our own faults with 500 and the
    text of the exception, writes a line at a time, and has one timer that knows no phases.
    """

    #: The verbs and what carries them out; filled once, since looking for them costs at each connection.
    verbs: ClassVar[dict[str, Callable[[Any, str], Awaitable[None]]]] = {}

    transport: asyncio.Transport | None

    def __init__(self, context: Context, loop: asyncio.AbstractEventLoop, port: Port) -> None:
        # SMTP.__init__ looks for hooks by inspecting itself, and clears size limits that all instances
        # share: neither is for us, so that only its own base is called.
        asyncio.StreamReaderProtocol.__init__(
            self, asyncio.StreamReader(limit=READ_LIMIT, loop=loop), self._cb_client_connected, loop=loop
        )
        self.context = context
        self.port = port
        self.options = context.options
        self.loop = loop
        self.hostname = context.options.hostname
        self.transport = None
        self.session = None
        self.mail: Transaction | None = None
        self.envelope = None
        self.tls_context = None
        self._tls_protocol = None
        self._original_transport = None
        self._timeout_handle = None
        self._handler_coroutine = None
        self.peer = Peer("")
        self.phase = Phase.OPENING
        self.errors = 0
        #: How often each rule has refused something.
        self._refusals: defaultdict[str, int] = defaultdict(int)
        #: The address of the latest MAIL command.
        self.asked_from = ""
        self.draining = False
        #: How its lines end, and whether the end of a mail was taken for one by the silence behind it:
        #: what comes then may be text of that mail, and is no command.
        self.habit = LineHabit()
        self.end_guessed = False
        #: What `context.connections` counts it for: an address, and an SmtpClient.
        self.counted_for = ""
        self.counted_as: int | None = None
        self._silent = not port.listener.implicit_tls and not port.listener.proxies
        self._mute = port.listener.implicit_tls
        self._transfer = Transfer(0.0)
        #: Idling commands since the last mail.
        self.idled = 0
        #: When it last did anything of use, or began.
        self._useful = loop.time()
        self._deadline = Deadline(loop, self._expired)

    # --- What the transport tells ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        asyncio.StreamReaderProtocol.connection_made(self, transport)
        self.transport = transport
        name = transport.get_extra_info("peername")
        address = name[0].partition("%")[0] if name else "unknown"
        self.peer = Peer(address.removeprefix("::ffff:") if "." in address else address)
        refused = self._refused_at_once()
        if refused is not None:
            self.dismiss(refused)
            return
        # Reading is not paused here: Python 3.11.2 begins to read after this call, whatever it is told, and
        # a pause later has no effect then. Bytes for TLS that come before `_encrypt` are handed on by it.
        self._handler_coroutine = self.loop.create_task(self._handle_client())

    def _refused_at_once(self) -> Reply | None:
        """Whether this connection is one too many, or comes at a bad moment."""
        connections, proxies = self.context.connections, self.port.listener.proxies
        refused = connections.admit(self)
        if refused is None and proxies and not _among(self.peer.address, proxies):
            refused = Reply(
                f"554 5.7.1 {self.peer.address} is not one of the proxies of this address: connect through "
                "them, or name it by proxy= in SMTP_LISTENERS",
                "proxy",
            )
        if refused is None and self.context.acceptor.stalled:
            refused = replies.CANNOT_STORE
        return refused or (None if proxies else connections.name(self, self.peer.address))

    def data_received(self, data: bytes) -> None:
        if self._silent:
            self._silent = False
            if data[:2] == b"\x16\x03":
                self._wrong_protocol("tls", replies.TLS_ON_PLAIN_PORT)
        if self.phase is Phase.DATA:
            self._transfer.take(data, self.loop.time())
        if self.phase is not Phase.OVER:
            asyncio.StreamReaderProtocol.data_received(self, data)

    def eof_received(self) -> bool | None:
        # A client that only half-closes (`nc`, scripts) still gets its replies; the commit goes on.
        return bool(asyncio.StreamReaderProtocol.eof_received(self))

    def connection_lost(self, error: Exception | None) -> None:
        self.phase = self.phase if self.phase in {Phase.COMMIT, Phase.DATA} else Phase.OVER
        self._deadline.cancel()
        self._let_go()
        asyncio.StreamReaderProtocol.connection_lost(self, error)
        self.transport = None

    def _let_go(self) -> None:
        """Count this connection no more. A failed handshake ends it without a `connection_lost`."""
        self.context.connections.release(self)

    def idle(self) -> float:
        """Seconds without anything of use; 0 while content comes or a commit is waited for.

        An unlisted client can do nothing of use. A mail that was begun by another client has patience.
        """
        if self.phase in {Phase.COMMIT, Phase.OVER} or (self.phase is Phase.DATA and self.mail is not None):
            return 0.0
        seconds = self.loop.time() - self._useful
        return seconds - self.options.stress_seconds if self.mail is not None and self.known_as() else seconds

    # --- What is said ------------------------------------------------------------------------------------

    async def reply(self, reply: Reply) -> None:
        """Send a reply; a negative one is logged and counts towards the end of the session's patience."""
        if not reply.positive:
            self.log_refusal(reply)
            self.errors += reply.line[0] == "5"
        self._write(reply.encoded(utf8=self.mail is not None and self.mail.utf8), reply.code)
        if self.errors >= self._patience() and not reply.positive:
            self.dismiss(replies.TOO_MANY_ERRORS)
        else:
            # A commit or a login had no deadline of the client's; to read the reply it has one.
            self._deadline.set_if_none(self._command_seconds())
            await self._writer.drain()

    def _patience(self) -> int:
        return self.options.stress_errors if self.context.connections.stressed else self.options.max_errors

    async def push(self, status: str | bytes) -> None:
        """Send a reply of aiosmtpd's own methods."""
        line = status.decode("utf-8", "replace") if isinstance(status, bytes) else status
        await self.reply(Reply(line, "protocol"))

    def dismiss(self, reply: Reply) -> None:
        """Send a last reply and close; what was written still goes out."""
        if self.phase is Phase.OVER or self.transport is None:
            return
        if not reply.positive:
            self.log_refusal(reply)
        self.phase = Phase.OVER
        self._write(reply.encoded(), reply.code)
        self._deadline.cancel()
        self._close(self.transport)

    def log_refusal(self, reply: Reply) -> None:
        """Log a refusal and remember it; of many by one rule in a session, the first are logged."""
        self._refusals[reply.rule] += 1
        last = self._refusals[reply.rule] == LOGGED_REFUSALS
        if self._refusals[reply.rule] <= LOGGED_REFUSALS:
            logger.info(
                "refused: client=%s reply=%s rule=%s: %s%s",
                printable(self.called()),
                reply.code,
                reply.rule,
                printable(reply.line[4:]),
                " (more of these in this session are not logged)" if last else "",
            )
        self.note_refusal(reply)

    def note_refusal(self, reply: Reply) -> None:
        """Remember a refusal for the list of what was refused."""
        about = reply.about or self.asked_from
        self.context.client_log.refused(self.peer.address, self.known_as(), about, reply)

    def known_as(self) -> str:
        """Name the client whose rules hold; empty where there is none."""
        return ""

    def called(self) -> str:
        """What the log calls the client."""
        return self.peer.address

    def _write(self, line: bytes, code: str) -> None:
        if self.transport is not None and not self._mute and not self.transport.is_closing():
            self.transport.write(line)
            counter = _REPLIES.get(code)
            if counter is None:
                counter = _REPLIES[code] = metrics.SMTP_REPLIES.labels(code=code)
            counter.inc()

    def _wrong_protocol(self, kind: str, reply: Reply) -> None:
        metrics.SMTP_PROTOCOL_VIOLATIONS.labels(kind=kind).inc()
        logger.warning("client %s speaks %s on a plain SMTP port", printable(self.peer.address), kind.upper())
        self.dismiss(reply)

    # --- The command loop --------------------------------------------------------------------------------

    async def _handle_client(self) -> None:
        try:
            if not await self._open():
                return
            self.phase = Phase.COMMAND
            self._write(f"220 {self.hostname} ESMTP\r\n".encode(), "220")
            while self.phase is Phase.COMMAND and self.transport is not None:
                await self._next_command()
        except (asyncio.IncompleteReadError, OSError):
            if self.phase is not Phase.OVER:
                self._lost()
        finally:
            self._end()

    async def _open(self) -> bool:
        """Do what comes before the greeting; whether there is a session to greet."""
        return True

    def _command_seconds(self) -> float:
        if self.draining:
            return self.options.farewell_seconds
        calm, stress = self.options.command_seconds, self.options.stress_seconds
        return min(calm, stress) if self.context.connections.stressed else calm

    async def _next_command(self) -> None:
        self._deadline.set(self._command_seconds())
        try:
            line = await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            await self._skip_line()
            await self.reply(replies.LINE_TOO_LONG)
            return
        if self.phase is not Phase.COMMAND:
            return
        self.habit.note(line)
        try:
            await self._carry_out(line)
        except asyncio.IncompleteReadError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and self._gone():
                raise
            await self._own_up(error)

    async def _carry_out(self, line: bytes) -> None:
        command = parse_command(line)
        if self.end_guessed and (isinstance(command, Reply) or command.verb not in _IDLING | {"QUIT"}):
            self.dismiss(replies.NO_MORE_MAIL)
            return
        if isinstance(command, Reply):
            await self.reply(command)
            return
        if self.draining and command.verb != "QUIT" and not (command.verb == "BDAT" and self._in_chunks()):
            self.dismiss(replies.SHUTTING_DOWN)
            return
        method = self.verbs.get(command.verb)
        if command.verb in _IDLING and self.idled >= self.options.max_idling:
            self.dismiss(replies.TOO_MUCH_IDLING)
        elif method is not None:
            await method(self, command.argument)
            if command.verb in _IDLING:
                self.idled += 1
            elif self.known_as():
                self._useful = self.loop.time()
        elif _HTTP.match(line):
            self._wrong_protocol("http", replies.HTTP_ON_SMTP_PORT)
        else:
            await self.reply(replies.BAD_SYNTAX)

    async def _own_up(self, error: Exception) -> None:
        excuse = self._excuse(error)
        if self.phase is Phase.DATA:
            # What is left of the content must not be read as commands.
            self.dismiss(Reply(f"421{excuse.line[3:]}", excuse.rule))
        else:
            await self.reply(excuse)

    async def _skip_line(self) -> None:
        """Read a line that is longer than the reader's limit to its end, a piece at a time."""
        while True:
            try:
                self.habit.note(await self._reader.readuntil(b"\n"))
            except asyncio.LimitOverrunError as overrun:
                await self._reader.readexactly(overrun.consumed)
            else:
                return

    def _excuse(self, error: Exception) -> Reply:
        """Own up to a fault of ours without its detail, which may hold secrets; the log has it."""
        reference = uuid.uuid4().hex[:12]
        logger.error("fault in a session, reference %s", reference, exc_info=error)
        self._set_rset_state()
        if self.phase not in {Phase.OVER, Phase.DATA}:
            self.phase = Phase.COMMAND
        return Reply(f"451 4.3.0 Fault in this server, try again later (reference {reference})", "fault")

    async def handle_exception(self, error: Exception) -> str:
        """Answer for a fault in aiosmtpd's own methods."""
        return self._excuse(error).line

    def _set_rset_state(self) -> None:
        if self.mail is not None:
            self.mail.close()
            self.mail = None

    def _in_chunks(self) -> bool:
        """Whether some of a message has come by BDAT, and more is to come."""
        return self.mail is not None and self.mail.chunks is not None

    def _gone(self) -> bool:
        return self.transport is None or self.transport.is_closing()

    # --- Time, drain and end -----------------------------------------------------------------------------

    def drain(self) -> None:
        """Finish a mail that is under way; a client that is not sending one is told to come again."""
        self.draining = True
        if self.phase is Phase.COMMAND and not self._in_chunks():
            self.dismiss(replies.SHUTTING_DOWN)
        elif self.phase is Phase.OPENING and self.transport is not None:
            self.transport.abort()

    def stop(self) -> None:
        """End at once, at the deadline of a drain."""
        if self.phase is Phase.DATA or (self.phase is Phase.COMMAND and self._in_chunks()):
            self._abort_data(replies.SHUTTING_DOWN, "drain")
        elif self.transport is not None:
            self.transport.abort()
            if self._handler_coroutine is not None:
                self._handler_coroutine.cancel()

    def _expired(self) -> None:
        if self.phase is Phase.COMMAND:
            self.dismiss(replies.SHUTTING_DOWN if self.draining else replies.TOO_SLOW)
        elif self.phase is Phase.DATA:
            self._watch_data()
        elif self.phase is Phase.OPENING and self.transport is not None:
            self.transport.abort()

    def _watch_data(self) -> None:
        """Look after content that is being read, from time to time."""

    def _abort_data(self, reply: Reply, phase: str) -> None:
        metrics.SMTP_MESSAGES_ABORTED.labels(phase=phase).inc()
        self.dismiss(reply)

    def _lost(self) -> None:
        if self.phase is Phase.DATA or self.mail is not None:
            phase = "data" if self.phase is Phase.DATA else "envelope"
            metrics.SMTP_MESSAGES_ABORTED.labels(phase=phase).inc()
            logger.info("aborted: client=%s phase=%s", printable(self.peer.address), phase)

    def _end(self) -> None:
        self.phase = Phase.OVER
        self._set_rset_state()
        self._deadline.cancel()
        if self.transport is not None:
            with suppress(RuntimeError):  # the loop may be closing under us
                self._close(self.transport)

    def _close(self, transport: asyncio.Transport) -> None:
        # TLS has no buffer to ask for once it is closing.
        pending = not transport.is_closing() and transport.get_write_buffer_size()
        transport.close()
        if pending:
            self.loop.call_later(LINGER_SECONDS, transport.abort)


def _among(address: str, networks: tuple[IPNetwork, ...]) -> bool:
    found = ip_address(address)
    return any(found.version == network.version and found in network for network in networks)
