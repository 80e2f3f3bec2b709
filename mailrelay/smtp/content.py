"""The content of a mail: DATA and BDAT (RFC 3030), from the last check before it to the reply after it."""

from mailrelay import metrics
from mailrelay.smtp import data, envelope_checks, replies
from mailrelay.smtp.authentication import Authentication
from mailrelay.smtp.connection import Phase
from mailrelay.smtp.data import LineEnds, Received, receive, receive_chunk
from mailrelay.smtp.line_endings import LineEnd, receive_by_habit
from mailrelay.smtp.message_checks import Arrival
from mailrelay.smtp.queueing import hand_over
from mailrelay.smtp.replies import Reply
from mailrelay.smtp.spool import Spool
from mailrelay.smtp.transaction import Chunks, Transaction
from mailrelay.smtp.transfer import KEPT, Transfer

#: A chunk that no message can need: swallowing it would take longer than it is worth.
LARGEST_CHUNK = 4


class _Nowhere:
    """Takes a chunk that was refused: its bytes must not be read as commands."""

    async def write(self, data: bytes) -> None:
        """Forget it."""


class Content(Authentication):
    #: Where the content goes that is being read; None where it is only swallowed.
    _spool: Spool | None = None

    async def smtp_DATA(self, argument: str) -> None:  # noqa: N802 - aiosmtpd's name for it
        if argument:
            await self.reply(replies.NO_ARGUMENT)
        elif self.mail is not None and self.mail.chunks is not None:
            await self.reply(replies.DATA_IN_CHUNKS)
        elif isinstance(begun := self._begin_content(), Reply):
            await self.reply(begun)
        else:
            await self._take_data(*begun)

    async def smtp_BDAT(self, argument: str) -> None:  # noqa: N802
        size, last = _chunk(argument)
        if size < 0 or size > LARGEST_CHUNK * self.options.max_message_size:
            # Where the chunk ends is not known, or too far off: nothing behind it can be understood.
            self.dismiss(replies.BDAT_SYNTAX if size < 0 else replies.BDAT_TOO_LARGE)
            return
        # First, so that a fault of ours ends the session: the chunk must not be read as commands.
        self._enter_data()
        refused = self._begin_chunks()
        if refused is not None:
            self._set_rset_state()
        chunks = self.mail.chunks if self.mail is not None else None
        await self._take_chunk(size, chunks)
        if self.mail is None or chunks is None:
            await self.reply(refused or replies.NEED_MAIL)
        elif last:
            await chunks.spool.write(chunks.ends.finish())
            self.mail.chunks = None
            await self._finish(self.mail, chunks.spool, bare=chunks.ends.bare)
        elif dropped := self._dropped(chunks.spool):
            self._set_rset_state()
            await self.reply(dropped)
        else:
            await self.reply(Reply(f"250 2.0.0 {size} bytes are here"))

    async def _take_chunk(self, size: int, chunks: Chunks | None) -> None:
        if chunks is None:
            await receive_chunk(self._reader, size, _Nowhere(), LineEnds())
        else:
            now = self.loop.time()
            self._spool, self._transfer = chunks.spool, chunks.transfer
            self._transfer.resume(min(size, len(self._early())), now)
            if self._transfer.too_slow(now, self.options):
                self._abort_data(replies.TOO_SLOW, "timeout")
            await receive_chunk(self._reader, size, chunks.spool, chunks.ends)
        self._leave_data()

    def _begin_chunks(self) -> Reply | None:
        if self.mail is not None and self.mail.chunks is not None:
            return None
        begun = self._begin_content()
        if isinstance(begun, Reply):
            return begun
        begun[0].chunks = Chunks(begun[1], self._transfer)
        return None

    def _begin_content(self) -> tuple[Transaction, Spool] | Reply:
        """Check what can be known before the content comes; give what it goes into."""
        transaction = self.mail
        if transaction is None:
            return replies.NEED_MAIL
        if not transaction.recipients or transaction.client is None:
            return replies.NO_VALID_RCPT if transaction.refused_recipients else replies.NEED_RCPT
        spool = envelope_checks.content(
            self.context, transaction.client, self.peer, transaction.declared_size
        )
        return spool if isinstance(spool, Reply) else (transaction, spool)

    async def _take_data(self, transaction: Transaction, spool: Spool) -> None:
        try:
            self._enter_data(spool)
            await self.reply(replies.START_DATA)
            received = await self._receive(spool)
        except BaseException:
            spool.close()
            raise
        if received.guessed:
            metrics.SMTP_PROTOCOL_VIOLATIONS.labels(kind="end_of_data").inc()
            self.end_guessed = True
        await self._finish(transaction, spool, bare=received.bare)

    async def _receive(self, spool: Spool) -> Received:
        """Read the content of DATA, whose end may look as all lines of the session have."""
        own, settle = self.habit.only, self.options.settle_seconds
        lenient = self.port.listener.barelf == "accept"
        if own is LineEnd.CR_CR_LF or (own is LineEnd.LF and lenient):
            return await receive_by_habit(self._reader, spool, settle, self.habit, lenient=lenient)
        return await receive(self._reader, spool, settle, lenient=lenient)

    async def _finish(self, transaction: Transaction, spool: Spool, *, bare: bool) -> None:
        """Hand a mail over and reply, whatever the client's side of the connection does after it."""
        assert transaction.client is not None
        if self.phase is Phase.OVER:
            # The last bytes were here when the client was told 421: it sends the mail again.
            spool.close()
            return
        self.phase = Phase.COMMIT
        self._deadline.clear()
        arrival = Arrival(
            self.peer,
            transaction.client,
            transaction,
            spool,
            self.hostname,
            self.options.loop_token,
            max_recipients=self.options.max_recipients,
        )
        try:
            reply = self._dropped(spool) or self._refused_ends(spool, bare=bare)
            reply = reply or await hand_over(self.context, arrival)
        finally:
            if self.phase is Phase.COMMIT:
                self.phase = Phase.COMMAND
        self._set_rset_state()
        if reply.positive:
            self.idled = 0
        await self.reply(reply)

    def _refused_ends(self, spool: Spool, *, bare: bool) -> Reply | None:
        if not bare or self.port.listener.barelf != "reject":
            return None
        spool.close()
        metrics.SMTP_PROTOCOL_VIOLATIONS.labels(kind="bare_lf").inc()
        return replies.BARE_LF_REFUSED

    def _dropped(self, spool: Spool) -> Reply | None:
        return envelope_checks.dropped(self.context, self.mail.client if self.mail else None, spool)

    # --- Watching what is read ---------------------------------------------------------------------------

    def _enter_data(self, spool: Spool | None = None) -> None:
        """Begin to read content: of DATA into `spool`, whose end is looked for; a chunk without it."""
        self.phase, self._spool = Phase.DATA, spool
        here = b"\r\n" + bytes(self._reader._buffer[-KEPT:])  # type: ignore[attr-defined]  # noqa: SLF001
        self._transfer = Transfer(self.loop.time(), here if spool is not None else None)
        self._deadline.set(min(self.options.bare_lf_seconds, self.options.data_idle_seconds))

    def _leave_data(self) -> None:
        """The chunk is here; what has waited for its end may end the session now."""
        if self.phase is Phase.DATA:
            self.phase = Phase.COMMAND
            self._deadline.clear()

    def _watch_data(self) -> None:
        """End a transfer that stands still or creeps; what the disk takes is not the client's silence."""
        now, options = self.loop.time(), self.options
        if self._spool is not None and self._spool.writing:
            self._transfer.excuse(now)
        silence = self._transfer.silence(now)
        last = self._transfer.last
        if silence >= options.bare_lf_seconds and last and data.stopped_at_wrong_end(last):
            metrics.SMTP_PROTOCOL_VIOLATIONS.labels(kind="bare_lf").inc()
            self._abort_data(replies.BARE_LINE_FEEDS, "bare-lf")
        elif self._transfer.too_slow(now, options):
            self._abort_data(replies.TOO_SLOW, "timeout")
        else:
            wait = options.bare_lf_seconds - silence if silence < options.bare_lf_seconds else 1.0
            self._deadline.set(min(max(wait, 0.05), options.data_idle_seconds))


def _chunk(argument: str) -> tuple[int, bool]:
    """Take `size [LAST]` apart; the size is -1 if that is not it."""
    size, _, last = argument.partition(" ")
    last = last.strip().upper()
    if not (size.isascii() and size.isdigit() and len(size) <= 12) or last not in {"", "LAST"}:
        return -1, False
    return int(size), bool(last)
