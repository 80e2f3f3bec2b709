"""How a DATA or BDAT transfer goes, so that one that stands still or creeps is ended."""

from mailrelay.smtp.options import SmtpOptions


class Transfer:
    """The bytes of one message on their way. Times are seconds of the event loop's clock."""

    __slots__ = ("_bytes", "_last_byte", "_started")

    def __init__(self, now: float) -> None:
        self._started = self._last_byte = now
        self._bytes = 0

    def take(self, size: int, now: float) -> None:
        self._bytes += size
        self._last_byte = now

    def silence(self, now: float) -> float:
        """Seconds since the last byte."""
        return now - self._last_byte

    def too_slow(self, now: float, options: SmtpOptions) -> bool:
        """Whether it has stood still for too long, or takes longer than its bytes explain."""
        allowed = options.data_seconds + self._bytes / options.data_bytes_per_second
        return self.silence(now) >= options.data_idle_seconds or now - self._started >= allowed
