"""The fleet page: what serves and how it fares, at a glance, without a framework."""

from collections.abc import Mapping
from datetime import datetime
from html import escape
from typing import Any

from mlops_assets.registry.port import CHALLENGER, CHAMPION, PREVIOUS_CHAMPION
from mlops_assets.rollout.plan import Step
from mlops_assets.serving.meters import RECENT, Traffic
from mlops_assets.serving.table import Route, Table

RELOAD_SECONDS = 5
_EMPTY = '<tbody><tr><td colspan="12">No model serves yet.</td></tr></tbody>'
_FIGURES = ("rows", "errors", "refused", "turned_away", "p50_ms", "p99_ms", "memory_mb")

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">{reload}
<title>{title}</title>
<style>
:root {{ --ink: #1c2733; --quiet: #55636f; --line: #dde3e9; --ground: #fff; --good: #14692e;
  --bad: #b3202a; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e3e8ed; --quiet: #a3b0bc; --line: #35414c; --ground: #14191e; --good: #5fd383;
    --bad: #ff8a8a; }}
}}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem;
  color: var(--ink); background: var(--ground); }}
a {{ color: inherit; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; }}
.quiet, caption {{ color: var(--quiet); }}
caption {{ text-align: left; padding-bottom: .5rem; }}
th, td {{ text-align: left; padding: .35rem .7rem; border-bottom: 1px solid var(--line);
  white-space: nowrap; }}
thead th {{ color: var(--quiet); white-space: normal; vertical-align: bottom; }}
.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
.good {{ color: var(--good); }} .bad {{ color: var(--bad); font-weight: 600; }}
</style></head><body><main>
<h1>Fleet</h1>
{problems}
<p class="quiet">Since {since} UTC, when this gateway started; the platform's own probes are left
out. Errors: valid requests that the model failed on. Refused: requests that were wrong themselves.
Turned away: overload, or a log that cannot be written. Latency: each version's last {recent} answered
requests. MB: what resident memory grew by when the version was loaded, in one worker.</p>
<div class="wide" role="region" aria-label="Versions" tabindex="0"><table>
<caption>Versions that are loaded or have answered</caption>
<thead><tr><th scope="col">model</th><th scope="col">version</th><th scope="col">role</th>
<th scope="col" class="n">rows served</th><th scope="col" class="n">errors</th>
<th scope="col" class="n">refused</th><th scope="col" class="n">turned away</th>
<th scope="col" class="n">p50 ms</th><th scope="col" class="n">p99 ms</th><th scope="col" class="n">MB</th>
<th scope="col">runtime</th><th scope="col">state</th></tr></thead>
{rows}</table></div>
<p>{switch}</p>
</main></body></html>
"""


def rows(table: Table, traffic: Mapping[tuple[str, str], Traffic]) -> list[dict[str, Any]]:
    """Return one record per model, in it one per version that is loaded or has answered."""
    counted: dict[str, set[str]] = {}
    for model, version in traffic:
        counted.setdefault(model, set()).add(version)
    found = []
    for name, route in sorted(table.routes.items()):
        champion = route.loaded[route.champion] if route.champion else None
        versions = sorted(counted.get(name, set()).union(route.loaded), key=int, reverse=True)
        found.append(
            {
                "model": name,
                "champion": route.champion,
                "wanted": route.wanted.get(CHAMPION),
                "previous_champion": route.previous,
                "loaded": route.versions,
                "runtime": champion.package.manifest.runtime if champion else None,
                "as_ordered": route.champion is not None and route.champion == route.wanted.get(CHAMPION),
                "versions": [_version(route, v, traffic.get((name, v), Traffic())) for v in versions],
            }
        )
    return found


def _version(route: Route, version: str, had: Traffic) -> dict[str, Any]:
    resident = route.loaded.get(version)
    return {
        "version": version,
        "role": _role(route, version),
        "step": _step(route, version),
        "rows": had.rows,
        "errors": had.errors,
        "refused": had.refused,
        "turned_away": had.turned_away,
        "p50_ms": had.latency_ms(0.5),
        "p99_ms": had.latency_ms(0.99),
        "memory_mb": resident.memory / 1e6 if resident and resident.memory is not None else None,
        "runtime": resident.package.manifest.runtime if resident else None,
    }


def _role(route: Route, version: str) -> str | None:
    """Return what a version is for; the champion is the one that answers, whatever is wanted."""
    if version == route.champion:
        return "champion"
    if version == route.wanted.get(PREVIOUS_CHAMPION):
        return "way back"
    if version == route.wanted.get(CHALLENGER):
        return "challenger"
    return None if version in route.loaded else "no longer loaded"


def _step(route: Route, version: str) -> str | None:
    """Return how far a version has come that is rolled out."""
    rollout = route.rollout
    if rollout is None or rollout.challenger.version != version:
        return None
    return str(Step(rollout.percent, rollout.paired))


def html(
    models: list[dict[str, Any]], problems: list[dict[str, Any]], since: datetime, *, reloads: bool = False
) -> str:
    """Return the page.

    Args:
        models: As :func:`rows` returns them.
        problems: What is wrong now.
        since: When the gateway began to count, naive UTC.
        reloads: Whether the page reloads by itself; whoever reads it slowly can switch that off.
    """
    told = "".join(
        f'<li class="bad"><b>{escape(p["subject"])}</b>, {escape(p["kind"])} since {p["since"]} UTC: '
        f"{escape(p['message'])}</li>"
        for p in problems
    )
    troubled = sum(not model["as_ordered"] for model in models)
    return _PAGE.format(
        title=f"{'Trouble' if problems or troubled else 'Fleet'} – {len(models)} models – mlops_assets",
        reload=f'\n<meta http-equiv="refresh" content="{RELOAD_SECONDS}">' if reloads else "",
        problems=f'<ul aria-label="Problems">{told}</ul>' if told else '<p class="good">No problems.</p>',
        since=since,
        recent=RECENT,
        rows="".join(map(_lines, models)) or _EMPTY,
        switch='<a href="/fleet">stop reloading</a>'
        if reloads
        else f'<a href="/fleet?reload">reload every {RELOAD_SECONDS} seconds</a>',
    )


def _lines(model: dict[str, Any]) -> str:
    """Return one line per version, the first with the model's state."""
    lines = [_cells(version) for version in model["versions"] or [{}]]
    kind = "good" if model["as_ordered"] else "bad"
    name = f'<th scope="rowgroup" rowspan="{len(lines)}">{escape(model["model"])}</th>'
    state = f'<td rowspan="{len(lines)}" class="{kind}">{escape(_state(model))}</td>'
    lines[0] = f"{name}{lines[0]}{state}"
    return f"<tbody>{''.join(f'<tr>{line}</tr>' for line in lines)}</tbody>"


def _cells(version: dict[str, Any]) -> str:
    runtime = version.get("runtime")
    name = runtime.partition(":")[0] if runtime else None  # why it is that one is told when pointed at
    return "".join(
        [
            f"<td>{_text(version.get('version'))}</td>",
            f"<td>{_text(', '.join(filter(None, (version.get('role'), version.get('step')))))}</td>",
            *(_number(version.get(key), key) for key in _FIGURES),
            f'<td title="{_text(runtime)}">{_text(name)}</td>',
        ]
    )


def _text(value: str | None) -> str:
    return escape(str(value)) if value else "–"


def _number(value: float | None, key: str) -> str:
    bad = " bad" if key in ("errors", "turned_away") and value else ""
    shown = "–" if value is None else f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
    return f'<td class="n{bad}">{shown}</td>'


def _state(model: dict[str, Any]) -> str:
    if model["as_ordered"]:
        return "serving"
    serving = f"serving {model['champion']}" if model["champion"] else "not serving"
    return f"{serving}, the registry says {model['wanted'] or 'none'}"
