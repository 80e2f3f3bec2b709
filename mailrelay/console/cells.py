"""Small pieces of a page: badges, moments, sizes. What is stored is escaped here."""

from datetime import datetime, timedelta

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

NOTHING = mark_safe('<span class="quiet">–</span>')
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def badge(text: str, tone: str) -> SafeString:
    """Make a label; `tone` is good, busy, waiting, bad or quiet."""
    return format_html('<span class="badge {}">{}</span>', tone, text)


def two_lines(first: str, second: str) -> SafeString:
    if not second:
        return format_html("{}", first)
    return format_html('{}<span class="second">{}</span>', first, second)


def moment(at: datetime | None, now: datetime | None = None) -> SafeString:
    """Print a time to the second, and how far it is from `now` when that is given."""
    if at is None:
        return NOTHING
    away = format_html(' <span class="away">({})</span>', relative(at, now)) if now else ""
    return format_html('<time datetime="{}">{}</time>{}', at.isoformat(), exact(at), away)


def short_moment(at: datetime) -> SafeString:
    """Print a time for a column whose heading says that it is UTC."""
    text = f"{at.day} {at:%b, %H:%M:%S}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact(at), text)


def exact(at: datetime) -> str:
    return f"{at.day} {at:%b %Y, %H:%M:%S} UTC"


def relative(at: datetime, now: datetime) -> str:
    """Say how far `at` is from `now`: "in 3 min", "2 h ago"."""
    distance = at - now
    if abs(distance) < timedelta(seconds=1):
        return "now"
    text = span(abs(distance).total_seconds())
    return f"in {text}" if distance > timedelta(0) else f"{text} ago"


def span(seconds: float) -> str:
    """Say a length of time in its one or two largest units."""
    rest = round(seconds)
    parts = []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
        if len(parts) == 2 or (parts and not count):
            break
    return " ".join(parts) or "0 s"


def size(number: int) -> str:
    """Say a number of bytes: 812 bytes, 4.0 KiB, 26.3 MiB."""
    if number < 1024:
        return f"{number} bytes"
    return f"{number / 1024:.1f} KiB" if number < 1024**2 else f"{number / 1024**2:.1f} MiB"
