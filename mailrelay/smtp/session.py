"""The verbs of an SMTP session (RFC 5321 section 4.1), and the extensions that it offers."""

from dataclasses import replace

from mailrelay.routing.table import Client
from mailrelay.smtp import dsn, envelope_checks, replies
from mailrelay.smtp.authentication import Authentication
from mailrelay.smtp.commands import Path, parse_path
from mailrelay.smtp.content import Content
from mailrelay.smtp.encryption import Encryption
from mailrelay.smtp.parameters import wrong_for_mail, wrong_for_rcpt
from mailrelay.smtp.replies import Reply, printable
from mailrelay.smtp.transaction import Transaction


class Session(Content):
    """One SMTP session."""

    async def smtp_EHLO(self, argument: str) -> None:  # noqa: N802 - aiosmtpd's name for it
        self._greeted(argument, extended=True)
        self._write(self.port.ehlo(secure=self.peer.secure), "250")
        await self._writer.drain()

    async def smtp_HELO(self, argument: str) -> None:  # noqa: N802
        self._greeted(argument, extended=False)
        await self.reply(Reply(f"250 {self.hostname}"))

    def _greeted(self, argument: str, *, extended: bool) -> None:
        self._set_rset_state()
        name = printable(argument.encode("utf-8", "replace").decode())[:255]
        self.peer = replace(self.peer, name=name, extended=extended)

    async def smtp_MAIL(self, argument: str) -> None:  # noqa: N802
        path = parse_path("FROM:", argument)
        if self.mail is not None:
            await self.reply(replies.NESTED_MAIL)
        elif path is None:
            await self.reply(replies.MAIL_SYNTAX)
        else:
            reply = self._begin(path)
            if reply.code == "421":
                self.dismiss(reply)
            else:
                await self.reply(reply)

    def _begin(self, path: Path) -> Reply:
        self.asked_from = path.address
        refused = wrong_for_mail(path.parameters) or self._not_now()
        if refused is not None:
            return refused
        routing = self.context.routing()
        client = self.client(routing)
        if client is not None:
            self.context.client_log.seen(client.id)
        utf8, size = "SMTPUTF8" in path.parameters, int(path.parameters.get("SIZE") or 0)
        refused = self._over_connections(client) or envelope_checks.begin(
            self.context, client, path.address, utf8=utf8, size=size
        )
        if refused is not None:
            return refused
        self.mail = Transaction(path.address, client, utf8, size, dsn_request=dsn.of_mail(path.parameters))
        return replies.MAIL_OK

    def _not_now(self) -> Reply | None:
        """What has to come before a mail on this listener, or makes it useless to begin one."""
        if self.port.starttls_required and not self.peer.secure:
            return replies.TLS_REQUIRED
        if self.port.auth_required and not self.peer.login:
            return replies.AUTH_REQUIRED
        return replies.TRY_LATER if self.context.acceptor.stalled else None

    def _over_connections(self, client: Client | None) -> Reply | None:
        """Whether the client has used up its connections, which ends the session."""
        if client is None or client.id is None:
            return None
        if self.context.connections.known(self, client.id, client.max_connections):
            return None
        return Reply(
            f"421 4.7.0 Client {client.name} has more than {client.max_connections} connections, try "
            "again later: the limit is in its row",
            "client-connections",
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
        if refused := wrong_for_rcpt(path.parameters):
            return refused
        dsn_request = dsn.of_rcpt(path.parameters)
        return envelope_checks.add_recipient(self.context, transaction, self.peer, path.address, dsn_request)

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


# AUTH, DATA and STARTTLS are methods of the classes below; those of aiosmtpd itself are none of ours.
for _room in (Encryption, Authentication, Content, Session):
    Session.verbs.update(
        {
            name.removeprefix("smtp_"): method
            for name, method in vars(_room).items()
            if name.startswith("smtp_")
        }
    )
