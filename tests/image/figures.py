"""What was measured, as a table at the end of the run."""

COLUMNS = {
    "what": "",
    "health": "/health, s",
    "ready": "/ready, s",
    "peak": "peak, MiB",
    "now": "working set, MiB",
    "resident": "without cache",
    "kills": "kills",
    "liveness": "liveness failed",
    "cpu": "CPU, s",
    "more": "",
}


class Figures:
    def __init__(self) -> None:
        self.rows: list[dict[str, str]] = []

    def note(self, what: str, **values: object) -> None:
        self.rows.append({"what": what} | {name: str(value) for name, value in values.items()})

    def lines(self) -> list[str]:
        """Return the rows as a table of Markdown."""
        cells = [list(COLUMNS.values())] + [[row.get(name, "") for name in COLUMNS] for row in self.rows]
        widths = [max(len(row[number]) for row in cells) for number in range(len(COLUMNS))]
        texts = [
            " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells
        ]
        texts.insert(1, " | ".join("-" * max(3, width) for width in widths))
        return [f"| {text} |" for text in texts]
