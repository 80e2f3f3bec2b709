"""The verbs of an SMTP session (RFC 5321 section 4.1), and the extensions that it offers."""

import logging
from ipaddress import ip_address

from mailrelay.routing.directory import Client, Directory
from mailrelay.smtp import policy, replies, sizing
from mailrelay.smtp.commands import Path, parse_path
from mailrelay.smtp.connection import Connection
from mailrelay.smtp.data import receive
from mailrelay.smtp.handover import hand_over
from mailrelay.smtp.intake import Arrival
from mailrelay.smtp.replies import Reply, printable
from mailrelay.smtp.spool import MEMORY_LIMIT, Spool
from mailrelay.smtp.transaction import Peer, Transaction

logger = logging.getLogger(__name__)

#: Parameters that are taken without effect: DSN (RFC 3461) and AUTH (RFC 4954 section 5) are sent unasked.
IGNORED_MAIL_PARAMETERS = frozenset({"AUTH", "RET", "ENVID"})
IGNORED_RCPT_PARAMETERS = frozenset({"NOTIFY", "ORCPT"})


class Session(Connection):
    """One SMTP session."""

    _known: tuple[Directory, Client | None] | None = None

    async def smtp_EHLO(self, argument: str) -> None:  # noqa: N802 - aiosmtpd's name for it
        self._greeted(argument, extended=True)
        self._write(self.context.ehlo, "250")
        await self._writer.drain()

    async def smtp_HELO(self, argument: str) -> None:  # noqa: N802
        self._greeted(argument, extended=False)
        await self.reply(Reply(f"250 {self.hostname}"))

    def _greeted(self, argument: str, *, extended: bool) -> None:
        self._set_rset_state()
        name = printable(argument.encode("utf-8", "replace").decode())[:255]
        self.peer = Peer(self.peer.address, name, extended)

    async def smtp_MAIL(self, argument: str) -> None:  # noqa: N802
        path = parse_path("FROM:", argument)
        if self.mail is not None:
            await self.reply(replies.NESTED_MAIL)
        elif path is None:
            await self.reply(replies.MAIL_SYNTAX)
        else:
            await self.reply(self._begin(path))

    def _begin(self, path: Path) -> Reply:
        wrong = _wrong_mail_parameter(path.parameters)
        if wrong is not None:
            return wrong
        if self.context.acceptor.stalled:
            return replies.TRY_LATER
        directory = self.context.directory()
        client = self._client(directory)
        utf8, size = "SMTPUTF8" in path.parameters, int(path.parameters.get("SIZE") or 0)
        refused = (
            policy.mail_from(directory, client, path.address, utf8=utf8)
            or self._no_room(size)
            or sizing.declared(directory, path.address, size)
        )
        if refused is not None:
            return refused
        self.mail = Transaction(path.address, client, utf8, size)
        return replies.MAIL_OK

    def _client(self, directory: Directory) -> Client | None:
        """Who the peer is; looked up again when the configuration has changed."""
        if self._known is None or self._known[0] is not directory:
            self._known = (directory, directory.client_for(ip_address(self.peer.address)))
        return self._known[1]

    def _no_room(self, size: int) -> Reply | None:
        if size > self.options.max_message_size:
            return self._oversize()
        return None if self.context.space.has_room_for(size) else replies.STORAGE_FULL

    def _oversize(self) -> Reply:
        return Reply(
            f"552 5.3.4 The message is larger than {self.options.max_message_size} bytes, the maximum of "
            "this server",
            "size",
        )

    async def smtp_RCPT(self, argument: str) -> None:  # noqa: N802
        path = parse_path("TO:", argument)
        if self.mail is None:
            await self.reply(replies.NEED_MAIL)
        elif path is None:
            await self.reply(replies.RCPT_SYNTAX)
        else:
            reply = self._add_recipient(self.mail, path)
            self.mail.refused_recipients += not reply.positive
            await self.reply(reply)

    def _add_recipient(self, transaction: Transaction, path: Path) -> Reply:
        for name in path.parameters.keys() - IGNORED_RCPT_PARAMETERS:
            return Reply(f"555 5.5.4 RCPT parameter {name} is not known", "parameter")
        refused = policy.rcpt_to(transaction.client, self.peer.address, path.address, utf8=transaction.utf8)
        if refused is not None:
            return refused
        if len(transaction.recipients) >= self.options.max_recipients:
            return Reply(
                f"452 4.5.3 Too many recipients: {self.options.max_recipients} at most in one message",
                "recipients",
            )
        address = policy.qualified(self.context.directory(), path.address)
        transaction.recipients.append(address)
        return replies.RCPT_OK

    async def smtp_DATA(self, argument: str) -> None:  # noqa: N802
        transaction = self.mail
        if argument:
            await self.reply(replies.NO_ARGUMENT)
        elif transaction is None:
            await self.reply(replies.NEED_MAIL)
        elif not transaction.recipients or transaction.client is None:
            await self.reply(replies.NO_VALID_RCPT if transaction.refused_recipients else replies.NEED_RCPT)
        elif not self.context.space.has_room_for(max(transaction.declared_size, MEMORY_LIMIT)):
            await self.reply(replies.STORAGE_FULL)
        else:
            await self._take(transaction)

    async def _take(self, transaction: Transaction) -> None:
        """Read a mail, hand it over and reply, whatever the client's side of the connection does after it."""
        assert transaction.client is not None
        spool = Spool(self.options.max_message_size, self.context.executor, self.context.spool_directory)
        try:
            self.enter_data()
            await self.reply(replies.START_DATA)
            await receive(self._reader, spool)
        except BaseException:
            spool.close()
            raise
        self.enter_commit()
        arrival = Arrival(self.peer, transaction.client, transaction, spool, self.hostname)
        try:
            reply = self._dropped(spool) or await hand_over(self.context, arrival)
        finally:
            self.leave_commit()
        self._set_rset_state()
        await self.reply(reply)

    def _dropped(self, spool: Spool) -> Reply | None:
        """Why the spool holds nothing, if it had to drop the mail."""
        if spool.oversize:
            return self._oversize()
        if spool.error is None:
            return None
        logger.error("the spool in %s failed", self.context.spool_directory, exc_info=spool.error)
        return replies.STORAGE_FULL if spool.full else replies.TRY_LATER

    async def smtp_RSET(self, argument: str) -> None:  # noqa: N802
        self._set_rset_state()
        await self.reply(replies.NO_ARGUMENT if argument else replies.OK)

    async def smtp_NOOP(self, argument: str) -> None:  # noqa: ARG002, N802 - RFC 5321 section 4.1.1.9
        await self.reply(replies.OK)

    async def smtp_VRFY(self, argument: str) -> None:  # noqa: ARG002, N802 - no address is looked at
        await self.reply(replies.CANNOT_VERIFY)

    async def smtp_HELP(self, argument: str) -> None:  # noqa: ARG002, N802
        await self.reply(replies.HELP)

    async def smtp_EXPN(self, argument: str) -> None:  # noqa: ARG002, N802
        await self.reply(replies.NOT_OFFERED)

    async def smtp_QUIT(self, argument: str) -> None:  # noqa: ARG002, N802 - a client that leaves may leave
        self.dismiss(replies.BYE)


def _wrong_mail_parameter(parameters: dict[str, str]) -> Reply | None:
    for name, value in parameters.items():
        if name == "SIZE":
            if not (value.isascii() and value.isdigit() and len(value) <= 20):
                return Reply("501 5.5.4 SIZE is a number of bytes", "parameter")
        elif name == "BODY":
            if value.upper() not in {"7BIT", "8BITMIME"}:
                return Reply("501 5.5.4 BODY is 7BIT or 8BITMIME", "parameter")
        elif name == "SMTPUTF8":
            if value:
                return Reply("501 5.5.4 SMTPUTF8 has no value", "parameter")
        elif name not in IGNORED_MAIL_PARAMETERS:
            return Reply(f"555 5.5.4 MAIL parameter {name} is not known", "parameter")
    return None


Session.verbs.update(
    {name.removeprefix("smtp_"): method for name, method in vars(Session).items() if name.startswith("smtp_")}
)
