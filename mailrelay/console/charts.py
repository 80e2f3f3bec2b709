"""Bars drawn as SVG by the server: no script, no inline style, the colours are the style sheet's."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH, HEIGHT, GAP = 600, 90, 2


@dataclass(frozen=True, slots=True)
class Series:
    """One kind of number over time; `tone` is the class that colours it."""

    title: str
    tone: str
    points: Sequence[tuple[datetime, int]]

    @property
    def total(self) -> str:
        return f"{sum(value for _, value in self.points):,}"


def stacked(title: str, series: Sequence[Series], form: str) -> SafeString:
    """Draw `series`, which share their times, on top of each other; `form` prints a time (strftime)."""
    times = [at for at, _ in series[0].points]
    highest = max((sum(values) for values in _columns(series)), default=0) or 1
    bars = format_html_join("", "<g><title>{}</title>{}</g>", _groups(times, series, highest, form))
    said = ", ".join(f"{one.total} {one.title}" for one in series)
    return format_html(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}: {}" preserveAspectRatio="none">'
        '{}<line class="ground" x1="0" y1="{}" x2="{}" y2="{}"/></svg>',
        *(WIDTH, HEIGHT + 1, title, said, bars, HEIGHT + 0.5, WIDTH, HEIGHT + 0.5),
    )


def _columns(series: Sequence[Series]) -> list[tuple[int, ...]]:
    return list(zip(*([value for _, value in one.points] for one in series), strict=True))


def _groups(
    times: Sequence[datetime], series: Sequence[Series], highest: int, form: str
) -> list[tuple[str, SafeString]]:
    step = WIDTH / max(1, len(times))
    groups = []
    for number, (at, values) in enumerate(zip(times, _columns(series), strict=True)):
        said = ", ".join(f"{value:,} {one.title}" for one, value in zip(series, values, strict=True))
        groups.append((f"{at.strftime(form)}: {said}", _bar(number * step, step, values, series, highest)))
    return groups


def _bar(
    left: float, step: float, values: Sequence[int], series: Sequence[Series], highest: int
) -> SafeString:
    rows, bottom = [], float(HEIGHT)
    for one, value in zip(series, values, strict=True):
        # What there is can be seen, however little of the whole it is.
        height = max(2.0, value / highest * HEIGHT) if value else 0.0
        bottom -= height
        if height:
            rows.append((one.tone, f"{left:.1f}", f"{max(0.0, bottom):.1f}", f"{height:.1f}"))
    width = f"{max(1.0, step - GAP):.1f}"
    shapes = format_html_join(
        "",
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>',
        ((tone, x, y, width, height) for tone, x, y, height in rows),
    )
    return format_html(
        '<rect class="hit" x="{}" y="0" width="{}" height="{}"/>{}',
        *(f"{left:.1f}", f"{step:.1f}", HEIGHT, shapes),
    )
