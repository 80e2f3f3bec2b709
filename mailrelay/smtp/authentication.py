"""AUTH (RFC 4954): PLAIN (RFC 4616) and LOGIN, as clients of every age speak them."""

import asyncio
import base64
import binascii
import logging
from dataclasses import replace
from ipaddress import ip_address

from mailrelay.routing.table import Client, RoutingTable
from mailrelay.smtp import replies
from mailrelay.smtp.encryption import UNNAMED, Encryption
from mailrelay.smtp.replies import Reply, printable

logger = logging.getLogger(__name__)

#: Octets of a line in the exchange (RFC 4954 section 4).
LINE_LIMIT = 12_288
#: The words that Go's clients and gomail insist on: `Username:` and `Password:`.
NAME_CHALLENGE = b"334 VXNlcm5hbWU6\r\n"
PASSWORD_CHALLENGE = b"334 UGFzc3dvcmQ6\r\n"
EMPTY_CHALLENGE = b"334 \r\n"


class _NotSaidError(Exception):
    """The exchange ended without a name and a password; `reply` says why."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.line)
        self.reply = reply


class Authentication(Encryption):
    """Who the client is: by its login, or by where it connects from."""

    #: What the login was verified against: with another password, or from elsewhere, it is one no more.
    _verified: tuple[str, str] | None = None
    _login_failures = 0
    _found: tuple[RoutingTable, Client | None] | None = None

    def client(self, routing: RoutingTable) -> Client | None:
        """Who the peer is; looked up again when the configuration has changed."""
        if self._found is None or self._found[0] is not routing:
            self._found = (routing, self._look_up(routing))
        return self._found[1]

    def called(self) -> str:
        """What the log calls the client: its address, and its name where it has one."""
        name = self.known_as()
        return f"{self.peer.address} ({name})" if name else self.peer.address

    def known_as(self) -> str:
        known = self._found[1] if self._found else None
        return known.name if known else ""

    def _look_up(self, routing: RoutingTable) -> Client | None:
        if self._verified is None:
            unnamed = self.peer.address == UNNAMED
            return None if unnamed else routing.client_for(ip_address(self.peer.address))
        login, password_hash = self._verified
        client = routing.client_of_login(login)
        if client is None or client.password_hash != password_hash:
            return None
        return client if client.may_come_from(self.peer.address) else None

    def _speak_through(self, encrypted: asyncio.Transport) -> None:
        super()._speak_through(encrypted)
        self._verified = self._found = None

    async def smtp_AUTH(self, argument: str) -> None:  # noqa: N802 - aiosmtpd's name for it
        refused = self._refuse_auth(argument)
        if refused is not None:
            await self.reply(refused)
            return
        mechanism, _, initial = argument.partition(" ")
        try:
            login, password = await self._said(mechanism.upper(), initial.strip())
        except _NotSaidError as unsaid:
            await self.reply(unsaid.reply)
            return
        await self._log_in(login, password)

    def _refuse_auth(self, argument: str) -> Reply | None:
        if self.port.listener.auth == "off":
            return replies.AUTH_NOT_OFFERED
        if self._verified is not None:
            return replies.AUTH_ALREADY
        if self.mail is not None:
            return replies.AUTH_IN_MAIL
        if not self.port.takes_logins(secure=self.peer.secure):
            return replies.AUTH_NEEDS_TLS
        if argument.partition(" ")[0].upper() not in {"PLAIN", "LOGIN"}:
            return replies.AUTH_MECHANISM
        return None

    async def _said(self, mechanism: str, initial: str) -> tuple[str, str]:
        """Have the client's name and password, from the command itself or by asking."""
        if mechanism == "PLAIN":
            parts = _decoded(initial or await self._ask(EMPTY_CHALLENGE)).split(b"\0")
            if len(parts) != 3:
                raise _NotSaidError(replies.AUTH_SYNTAX)
            return _text(parts[1]), _text(parts[2])
        login = _decoded(initial or await self._ask(NAME_CHALLENGE))
        return _text(login), _text(_decoded(await self._ask(PASSWORD_CHALLENGE)))

    async def _ask(self, challenge: bytes) -> str:
        self._write(challenge, "334")
        await self._writer.drain()
        self._deadline.set(self._command_seconds())
        try:
            line: bytes = await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            await self._skip_line()
            raise _NotSaidError(replies.LINE_TOO_LONG) from None
        self.habit.note(line)
        if len(line) > LINE_LIMIT:
            raise _NotSaidError(replies.LINE_TOO_LONG)
        answer = line.strip().decode("ascii", "replace")
        if answer == "*":
            raise _NotSaidError(replies.AUTH_CANCELLED)
        return answer

    async def _log_in(self, login: str, password: str) -> None:
        self._deadline.clear()
        routing = self.context.routing()
        result = await self.context.logins.check(routing, self.peer.address, login, password)
        if isinstance(result, Client):
            self._verified = (result.login, result.password_hash)
            self._found = None
            self.peer = replace(self.peer, login=result.login)
            await self.reply(replies.LOGGED_IN)
            return
        known = routing.client_of_login(login)
        logger.info(
            "login refused: client=%s login=%s rule=%s: manage.py smtpclient password NAME sets another",
            printable(self.peer.address),
            # What nobody is called may be a password that was typed in the wrong place.
            printable(known.login) if known else "of nobody",
            result.rule,
        )
        await self._login_failed(result)

    async def _login_failed(self, reply: Reply) -> None:
        self._login_failures += 1
        await asyncio.sleep(self.options.login_delay_seconds * 2 ** (self._login_failures - 1))
        if self._login_failures >= self.options.max_login_failures:
            self._write(reply.encoded(), reply.code)
            self.dismiss(replies.TOO_MANY_LOGINS)
        else:
            await self.reply(reply)


def _decoded(text: str) -> bytes:
    """Decode base64, its padding left out or not; `=` is nothing (RFC 4954 section 4)."""
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise _NotSaidError(replies.AUTH_SYNTAX) from None


def _text(data: bytes) -> str:
    """UTF-8 as it should be, or Latin-1 as old devices have it."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
