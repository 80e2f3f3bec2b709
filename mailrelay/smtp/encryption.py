"""The beginning of a connection: who is behind a proxy, and TLS, from the first byte or by STARTTLS."""

import asyncio
import logging
import ssl
from ipaddress import ip_address

from aiosmtpd.proxy_protocol import AF, V2_CMD, ProxyData, get_proxy

from mailrelay import metrics
from mailrelay.smtp import replies
from mailrelay.smtp.connection import LINGER_SECONDS, Connection, Phase
from mailrelay.smtp.replies import Reply, printable
from mailrelay.smtp.transaction import Peer

logger = logging.getLogger(__name__)

#: Who a proxy speaks for when it speaks for nobody: its own health check, or a client that it does not name.
UNNAMED = "unknown"


class Encryption(Connection):
    """PROXY headers (HAProxy's protocol, versions 1 and 2), STARTTLS (RFC 3207), implicit TLS (RFC 8314)."""

    async def _open(self) -> bool:
        """Do what comes before the greeting; whether there is a session to greet."""
        listener = self.port.listener
        if listener.proxies and not await self._read_proxy_header():
            return False
        if not listener.implicit_tls:
            return self.phase is not Phase.OVER
        context = self.port.tls_context()
        if context is None:
            logger.error("%s has no certificate: client %s is let go", listener.name, self.peer.address)
            return False
        await self._encrypt(context)
        return True

    # --- PROXY -------------------------------------------------------------------------------------------

    async def _read_proxy_header(self) -> bool:
        """Learn the client from its proxy. Only networks that the listener names get here."""
        proxy = self.peer.address
        self._deadline.set(self.options.proxy_seconds)
        header = await get_proxy(self._reader)
        if not header.valid or self._gone():
            metrics.SMTP_PROTOCOL_VIOLATIONS.labels(kind="proxy").inc()
            logger.warning(
                "proxy %s sent no PROXY header that can be read (%s): the connection is closed",
                proxy,
                printable(header.error) or "nothing",
            )
            return False
        self.peer = Peer(_client_of(header))
        refused = self.context.connections.name(self, self.peer.address)
        if refused is not None:
            self.dismiss(refused)
            return False
        if not self.port.listener.implicit_tls and self._early().startswith(b"\x16\x03"):
            self._wrong_protocol("tls", replies.TLS_ON_PLAIN_PORT)
            return False
        return True

    # --- TLS ---------------------------------------------------------------------------------------------

    async def smtp_STARTTLS(self, argument: str) -> None:  # noqa: N802
        context = self.port.tls_context()
        if argument:
            await self.reply(replies.NO_ARGUMENT)
        elif self.peer.secure:
            await self.reply(replies.TLS_ALREADY)
        elif not self.port.offers_starttls:
            await self.reply(replies.NOT_OFFERED)
        elif context is None:
            await self.reply(replies.TLS_NOT_AVAILABLE)
        elif self._early():
            # What an attacker has slipped in before the handshake must not count as said within it.
            metrics.SMTP_PROTOCOL_VIOLATIONS.labels(kind="starttls_injection").inc()
            self.dismiss(replies.TALKED_BEFORE_TLS)
        else:
            self._set_rset_state()
            self._write(replies.READY_FOR_TLS.encoded(), "220")
            self.phase = Phase.OPENING
            await self._encrypt(context)
            self.phase = Phase.COMMAND

    async def _encrypt(self, context: ssl.SSLContext) -> None:
        """Shake hands; all that was said before is forgotten, but for who the client is."""
        assert self.transport is not None
        raw, early = self.transport, self._early()
        self._reader._buffer.clear()  # type: ignore[attr-defined]  # noqa: SLF001 - StreamReader has no unread
        self._deadline.clear()
        raw.pause_reading()  # what comes from here on is for TLS
        shaking = self.loop.create_task(
            self.loop.start_tls(
                raw,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=self.options.tls_seconds,
                ssl_shutdown_timeout=LINGER_SECONDS,
            )
        )
        try:
            if early:
                await self._feed(raw, early)
            encrypted = await shaking
            if encrypted is None or self.phase is Phase.OVER:
                raise ConnectionAbortedError("the client left in the TLS handshake")
        except OSError as error:
            raw.abort()
            self._let_go()
            self._handshake_failed(error)
            raise
        self._speak_through(encrypted)

    async def _feed(self, raw: asyncio.Transport, early: bytes) -> None:
        """Give TLS the bytes of its own that came in one segment with the PROXY header."""
        await asyncio.sleep(0)  # the task sets its protocol on the transport …
        await asyncio.sleep(0)  # … whose beginning comes a turn later
        protocol = raw.get_protocol()
        while early and isinstance(protocol, asyncio.BufferedProtocol):
            buffer = memoryview(protocol.get_buffer(len(early)))
            size = min(len(buffer), len(early))
            buffer[:size] = early[:size]
            protocol.buffer_updated(size)
            early = early[size:]

    def _speak_through(self, encrypted: asyncio.Transport) -> None:
        self.transport = self._transport = encrypted
        self._over_ssl = True
        self._mute = False
        # As StreamWriter.start_tls does it; a writer that is let go would close what it wrote to.
        self._reader._transport = encrypted  # type: ignore[attr-defined]  # noqa: SLF001
        self._writer._transport = encrypted  # type: ignore[attr-defined]  # noqa: SLF001
        self.peer = Peer(self.peer.address, secure=True)

    def _handshake_failed(self, error: OSError) -> None:
        metrics.SMTP_PROTOCOL_VIOLATIONS.labels(kind="tls_handshake").inc()
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        old = reason in {"UNSUPPORTED_PROTOCOL", "NO_SHARED_CIPHER", "VERSION_TOO_LOW"}
        advice = "; an old device may need an address with tls=legacy in SMTP_LISTENERS" if old else ""
        text = f"{printable(reason)}{advice}"
        logger.info("refused: client=%s rule=tls-handshake: %s", printable(self.peer.address), text)
        self.note_refusal(Reply(f"TLS failed: {text}", "tls-handshake"))

    def _early(self) -> bytes:
        """What has come in and was not read yet."""
        return bytes(self._reader._buffer)  # type: ignore[attr-defined]  # noqa: SLF001


def _client_of(header: ProxyData) -> str:
    named = header.family in {AF.INET, AF.INET6} and header.command != V2_CMD.LOCAL
    return str(ip_address(str(header.src_addr))) if named and header.src_addr is not None else UNNAMED
