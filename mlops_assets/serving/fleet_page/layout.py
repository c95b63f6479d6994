"""What both pages have in common: the frame, the colours, and how figures are written."""

from datetime import datetime
from html import escape

RELOAD_SECONDS = 5
NONE = "–"
# Nothing but the page itself and its own style: names and reasons on it come from elsewhere.
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}

_STYLE = """
:root { --ink: #1c2733; --quiet: #55636f; --line: #dde3e9; --ground: #fff; --good: #14692e;
  --bad: #b3202a; --accent: #1a5fa8; --band: #d6e4f3; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e8ed; --quiet: #a3b0bc; --line: #35414c; --ground: #14191e; --good: #5fd383;
    --bad: #ff8a8a; --accent: #84bdf5; --band: #24394e; }
}
body { font: 15px/1.5 system-ui, sans-serif; margin: 1.5rem auto; max-width: 92rem; padding: 0 1rem;
  color: var(--ink); background: var(--ground); }
a { color: inherit; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; padding: .3rem .6rem; background: var(--ground); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
.quiet, caption, small, dt { color: var(--quiet); }
caption { text-align: left; padding-bottom: .5rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
thead th { color: var(--quiet); white-space: normal; vertical-align: bottom; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
.text { white-space: normal; min-width: 10rem; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
form, .row { display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: end; margin: 1rem 0; }
ul.row { padding: 0; list-style: none; }
label { display: grid; color: var(--quiet); font-size: .87em; }
input, select, button { font: inherit; color: var(--ink); background: var(--ground); padding: .25rem .5rem;
  border: 1px solid var(--quiet); border-radius: .25rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; } dd { margin: 0; }
svg { vertical-align: middle; overflow: visible; }
.m { fill: none; stroke: var(--ink); stroke-width: 1.5; }
.e { fill: none; stroke: var(--accent); stroke-width: 1.5; stroke-dasharray: 4 3; }
.dot { fill: var(--ink); } .edot { fill: none; stroke: var(--accent); stroke-width: 1.5; }
.harm { fill: var(--bad); } .band { fill: none; stroke: var(--quiet); }
.eband { fill: var(--band); } .axis { stroke: var(--line); } svg text { fill: var(--quiet); font-size: 12px; }
ol.timeline { padding: 0; list-style: none; } ol.timeline li { padding: .35rem 0 .35rem .8rem;
  border-left: 3px solid var(--line); } ol.timeline time { color: var(--quiet); }
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">{reload}
<title>{title}</title>
<style>{style}</style></head><body>
<a class="skip" href="#main">Skip to the content</a>
{header}<main id="main" tabindex="-1">
{main}
</main></body></html>
"""


def page(title: str, main: str, *, header: str = "", reloads: bool = False) -> str:
    """Return a page.

    Args:
        title: Its title, as text.
        main: What it is about, as HTML.
        header: What stands before, as HTML.
        reloads: Whether it reloads by itself.
    """
    refresh = f'\n<meta http-equiv="refresh" content="{RELOAD_SECONDS}">' if reloads else ""
    top = f"<header>{header}</header>\n" if header else ""
    return _PAGE.format(title=escape(title), style=_STYLE, reload=refresh, header=top, main=main)


def text(value: object) -> str:
    """Return a value as HTML text, a dash for none."""
    return escape(str(value)) if value not in (None, "") else NONE


def number(value: float | None) -> str:
    """Return a figure as people read it: to a thousandth, a tiny one to two digits, a dash for none."""
    if value is None:
        return NONE
    if isinstance(value, int):
        return f"{value:,}"
    if 0 < abs(value) < 0.01:
        return f"{value:.2g}"
    return f"{value:,.3f}" if abs(value) < 10 else f"{value:,.1f}"


def day(at: datetime | str | None) -> str:
    """Return a day; a dash for none."""
    if isinstance(at, datetime):
        return f"{at:%Y-%m-%d}"
    return escape(at[:10]) if at else NONE


def minute(at: datetime | str) -> str:
    """Return a time to the minute, UTC, as an element that programs understand."""
    said = escape(at[:16]) if isinstance(at, str) else f"{at:%Y-%m-%dT%H:%M}"
    return f'<time datetime="{said}Z">{said.replace("T", " ")}</time>'


def problems_told(problems: list[dict[str, object]]) -> str:
    """Return what is wrong now, as HTML."""
    told = "".join(
        f'<li class="bad"><b>{text(p["subject"])}</b>, {text(p["kind"])} since {text(p["since"])} UTC: '
        f"{text(p['message'])}</li>"
        for p in problems
    )
    return f'<ul aria-label="Problems">{told}</ul>' if told else '<p class="good">No problems.</p>'


def untold(why: str) -> str:
    """Return why the page shows only what the gateway itself knows, as HTML; nothing if it shows all."""
    if not why:
        return ""
    return (
        f'<p class="bad" role="status">Only what this gateway itself knows is shown; what monitoring, '
        f"incidents and the audit chain tell is not: {text(why)}.</p>"
    )
