"""Watches a DATA or BDAT transfer, so that one that stands still or creeps is ended."""

from mailrelay.smtp.options import SmtpOptions

#: Bytes in which a wrong end of DATA, and a QUIT behind it, are to be seen.
KEPT = 16


class Transfer:
    """The bytes of one message on their way. Times are seconds of the event loop's clock.

    `last` are the bytes that came last, KEPT of them, where an end of the text is to be found by them.
    """

    __slots__ = ("_bytes", "_last_byte", "_started", "last")

    def __init__(self, now: float, last: bytes | None = None) -> None:
        self._started = self._last_byte = now
        self._bytes = 0
        self.last = last

    def take(self, data: bytes, now: float) -> None:
        self._bytes += len(data)
        self._last_byte = now
        if self.last is not None:
            self.last = data[-KEPT:] if len(data) >= KEPT else (self.last + data)[-KEPT:]

    def resume(self, here: int, now: float) -> None:
        """Go on with another chunk of the message, of which `here` bytes have come with its command."""
        self._bytes += here
        self._last_byte = now

    def excuse(self, now: float) -> None:
        """Do not count the time since the last byte: it was ours."""
        self._started += now - self._last_byte
        self._last_byte = now

    def silence(self, now: float) -> float:
        """Seconds since the last byte."""
        return now - self._last_byte

    def too_slow(self, now: float, options: SmtpOptions) -> bool:
        """Whether it has stood still for too long, or takes longer than its bytes explain."""
        allowed = options.data_seconds + self._bytes / options.data_bytes_per_second
        return self.silence(now) >= options.data_idle_seconds or now - self._started >= allowed
