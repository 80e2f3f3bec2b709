"""The frame of the pages: one style sheet, everything escaped on its way in."""

from __future__ import annotations

from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d9dee4; --paper: #fff;
  --wash: #f5f7f9; --mark: #0b57d0; --note: #fff6d9; --note-ink: #5c4400; --note-line: #ecd58a }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --soft: #9aa4af; --line: #333b44; --paper: #1a1e23;
    --wash: #121519; --mark: #8ab4f8; --note: #332a10; --note-ink: #f0dfae; --note-line: #5b4a1b }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--wash); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif }
a { color: var(--mark); text-decoration: none }
a:hover { text-decoration: underline }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px }
.note { background: var(--note); color: var(--note-ink); border-bottom: 1px solid var(--note-line);
  padding: .55rem 1rem; text-align: center }
main { max-width: 62rem; margin: 0 auto; padding: 1.25rem 1rem 3rem; overflow-wrap: anywhere }
h1 { font-size: 1.35rem; line-height: 1.3; margin: .2rem 0 1rem }
h2 { font-size: .8rem; letter-spacing: .05em; text-transform: uppercase; color: var(--soft);
  margin: 1.8rem 0 .5rem }
.bar { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline; margin-bottom: .6rem }
.bar h1 { margin-right: auto; margin-bottom: .2rem }
.soft, .mails time, .mails .size { color: var(--soft) }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; overflow: hidden }
.mails { list-style: none; margin: 0; padding: 0 }
.mails li + li { border-top: 1px solid var(--line) }
.mails a { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: .1rem 1rem;
  padding: .7rem 1rem; color: inherit }
.mails a:hover { background: var(--wash); text-decoration: none }
.mails a:focus-visible { outline-offset: -2px }
.mails .subject, .mails .people { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.mails .subject { font-weight: 600 }
.mails .people { color: var(--soft) }
.mails time, .mails .size { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.tag { display: inline-block; border: 1px solid var(--line); border-radius: 999px; padding: 0 .55em;
  font-size: .8em; color: var(--soft); margin-left: .4em; font-weight: 400 }
.empty { padding: 3rem 1.5rem; text-align: center; color: var(--soft) }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .45rem 1rem }
th { width: 9rem; font-weight: 500; color: var(--soft); overflow-wrap: normal }
tr + tr { border-top: 1px solid var(--line) }
pre { margin: 0; padding: 1rem; white-space: pre-wrap; max-height: 70vh; overflow: auto;
  font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace }
.frame { resize: vertical; height: 26rem }
iframe { display: block; width: 100%; height: 100%; border: 0; background: #fff }
summary { cursor: pointer; padding: .6rem 1rem; color: var(--soft) }
footer { margin-top: 2rem; color: var(--soft); font-size: .87rem }
.pager { display: flex; justify-content: space-between; padding: .8rem .2rem }
@media (max-width: 36rem) {
  main { padding: .9rem .7rem 2rem }
  th { width: 8.2rem }
  th, td, .mails a { padding: .5rem .7rem }
}
"""
NOTE = "This is a sandbox: nothing leaves this machine. The mail shown here reached nobody."


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str) -> Markup:
    """An element. Strings that are not Markup are escaped; the `_` of `class_` goes."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items()
    )
    return Markup(f"<{name}{given}>{inside(*children)}</{name}>")


def inside(*children: str) -> Markup:
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children))


def page(title: str, *content: str, refresh: int = 0) -> str:
    """A whole document, reloading itself every `refresh` seconds if that is not 0."""
    again = Markup(f'<meta http-equiv="refresh" content="{refresh}">') if refresh else Markup()
    head = inside(
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup('<meta name="color-scheme" content="light dark"><link rel="stylesheet" href="/style.css">'),
        Markup('<link rel="icon" href="data:,">'),
        again,
        tag("title", title),
    )
    body = inside(tag("div", NOTE, class_="note", role="note"), tag("main", *content))
    return f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>{body}</body></html>'


def table(rows: list[tuple[str, str]]) -> Markup:
    lines = [tag("tr", tag("th", name, scope="row"), tag("td", value)) for name, value in rows]
    return tag("div", tag("table", *lines), class_="card")


def size_of(count: int) -> str:
    """Bytes for people: 812 B, 4.1 KiB, 25.0 MiB."""
    if count < 1024:
        return f"{count} B"
    amount = count / 1024
    return f"{amount:.1f} KiB" if amount < 1024 else f"{amount / 1024:.1f} MiB"
