"""The page of one model: who answers for it, how it fares, and what happened to it."""

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from mlops_assets.registry.releases import MOVES
from mlops_assets.serving.fleet_page.choice import Record
from mlops_assets.serving.fleet_page.drawing import Point, chart
from mlops_assets.serving.fleet_page.layout import (
    NONE,
    day,
    minute,
    number,
    page,
    problems_told,
    text,
    untold,
)
from mlops_assets.serving.fleet_page.links import Links
from mlops_assets.serving.fleet_page.platform_records import KnownModel
from mlops_assets.serving.fleet_page.records import state
from mlops_assets.serving.fleet_page.timeline import Happening, timeline
from mlops_assets.serving.meters import RECENT

if TYPE_CHECKING:
    from mlops_assets.monitoring.assessment.record import Assessment
    from mlops_assets.monitoring.incidents.incident import Incident

_HEADER = '<nav aria-label="Where you are"><a href="/fleet">Fleet</a></nav>'
_VERDICTS = {
    "measured": "harm",
    "estimated": "harm, by estimate",
    "not_shown": "no harm shown",
    "cannot_tell": "cannot be told yet",
}
_MEASURED = " measured"
_NUMBERS = (
    *("rows", "labelled", "estimated", "rows served", "errors", "refused", "turned away"),
    *("p50 ms", "p99 ms", "MB"),
)
_FIGURES = ("rows", "errors", "refused", "turned_away", "p50_ms", "p99_ms", "memory_mb")


@dataclass(frozen=True)
class ModelView:
    """All that a model's page shows.

    Attributes:
        record: The model's record; see :func:`.records.rows`.
        known: What the platform's database tells.
        problems: What is wrong with it now.
        links: Where more is to be seen.
    """

    record: Record
    known: KnownModel
    problems: list[dict[str, Any]]
    links: Links


def html(view: ModelView) -> str:
    """Return the page."""
    name = view.record["model"]
    main = "\n".join(
        (
            f"<h1>{escape(name)}</h1>",
            problems_told(view.problems),
            untold(view.known.untold),
            _head(view),
            _elsewhere(view),
            _performance(view),
            _versions(view),
            _incidents(view),
            _timeline(timeline(view.known)),
        )
    )
    return page(f"{name} – mlops_assets", main, header=_HEADER)


def unknown(model: str, why: str) -> str:
    """Return the page for a name that no model has."""
    main = f"<h1>No such model</h1>\n<p>{text(why)}</p>"
    return page(f"{model[:80]} – mlops_assets", f'{main}\n<p><a href="/fleet">All models</a></p>')


def _head(view: ModelView) -> str:
    record, watched = view.record, view.record["watched"] or {}
    moved = next((each for each in reversed(view.known.entries) if each.action in MOVES), None)
    since = f" since {minute(moved.at)} UTC, by {text(moved.actor)}" if moved else ""
    champion = f"version {text(record['champion'])}{since}" if record["champion"] else NONE
    rollout, drill = record["rollout"], record["last_drill"]
    kind = "good" if record["as_ordered"] else "bad"
    told = {
        "Owner": text(record["owner"]),
        "Risk": text(record["risk"]),
        "Champion": champion,
        "State": f'<span class="{kind}">{escape(state(record))}</span>',
        "Rollout": f"version {text(rollout['version'])}: {text(rollout['step'])}" if rollout else NONE,
        "Way back": f"version {text(record['previous_champion'])}" if record["previous_champion"] else NONE,
        "Last drill": f"{'passed' if drill['passed'] else 'failed'} {day(drill['at'])}" if drill else NONE,
        "Cost of 1,000 predictions": number(watched.get("cost")),
    }
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in told.items())}</dl>"


def _elsewhere(view: ModelView) -> str:
    found = [
        f'<li><a href="{escape(address)}">{escape(words)}</a></li>'
        for words, address in view.links.of_model(view.record["model"])
    ]
    return f'<nav aria-label="Elsewhere"><ul class="row">{"".join(found)}</ul></nav>' if found else ""


def _performance(view: ModelView) -> str:
    windows = view.known.assessments
    if not windows:
        return "<h2>Performance</h2>\n<p>No window was looked at yet.</p>"
    metric = windows[-1].metric
    drawn = chart(metric, [_point(each) for each in windows])
    heads = (
        *("window", "version", "rows", "labelled"),
        *(f"{text(metric)}{_MEASURED}", "estimated", "verdict", "drifted", "alarms", "report"),
    )
    body = "".join(_window(view, each) for each in reversed(windows))
    return (
        f"<h2>Performance</h2>\n{drawn}\n"
        f'<p class="quiet">Measured on labels: the solid line, with intervals. Estimated before labels: the '
        f"dashed line in its band. A large dot: harm was measured.</p>\n"
        f"{_table('Windows', 'Last windows, newest first', heads, body)}"
    )


def _point(window: "Assessment") -> Point:
    measured, estimated = window.metrics.get(window.metric), window.estimated.get(window.metric)
    return Point(
        window.end,
        measured[0] if measured else None,
        estimated.value if estimated else None,
        _interval(measured[1], measured[2]) if measured else None,
        _interval(estimated.low, estimated.high) if estimated else None,
        window.harm,
    )


def _interval(low: float, high: float) -> tuple[float, float] | None:
    return (low, high) if low <= high else None  # what is not a number bounds nothing


def _window(view: ModelView, window: "Assessment") -> str:
    point = _point(window)
    verdict = escape(_VERDICTS.get(window.harm_shown, window.harm_shown))
    kind = ' class="bad"' if window.harm else ""
    address = view.links.report(view.record["model"], window.report)
    report = f'<a href="{escape(address)}">Evidently</a>' if address else text(window.report)
    return (
        f'<tr><th scope="row">{_span(window)}</th>'
        f'<td>{text(window.version)}</td><td class="n">{window.served:,}</td>'
        f'<td class="n">{window.labelled:,}</td>'
        f'<td class="n">{_within(point.measured, point.measured_within)}</td>'
        f'<td class="n">{_within(point.estimated, point.estimated_within)}</td>'
        f"<td{kind}>{verdict}</td><td>{text(', '.join(window.drifted))}</td>"
        f'<td class="text">{_alarms(window)}</td><td>{report}</td></tr>\n'
    )


def _span(window: "Assessment") -> str:
    """Return a window's span, by days if it is one of whole days."""
    whole = all(each.hour == each.minute == 0 for each in (window.start, window.end))
    start, end = (day(each) if whole else minute(each) for each in (window.start, window.end))
    return f"{start} – {end}"


def _within(value: float | None, bounds: tuple[float, float] | None) -> str:
    if value is None or bounds is None:
        return number(value)
    return f"{number(value)} <small>{number(bounds[0])} to {number(bounds[1])}</small>"


def _alarms(window: "Assessment") -> str:
    if not window.alarms:
        return NONE
    said = "".join(f"<li>{text(alarm.says)}</li>" for alarm in window.alarms)
    return f"<details><summary>{len(window.alarms)}</summary><ul>{said}</ul></details>"


def _versions(view: ModelView) -> str:
    heads = (
        *("version", "role", "rows served", "errors", "refused", "turned away"),
        *("p50 ms", "p99 ms", "MB", "runtime"),
    )
    body = "".join(_version(view, each) for each in view.record["versions"])
    body = body or f'<tr><td colspan="{len(heads)}">No version is loaded.</td></tr>'
    return (
        f"<h2>Versions</h2>\n"
        f"{_table('Versions', 'Versions that are loaded or have answered', heads, body)}\n"
        f'<p class="quiet">Since this gateway started; without the platform\'s own probes. Errors: valid '
        f"requests that the model failed on. Refused: requests that were wrong themselves. Turned away: "
        f"overload, or a log that cannot be written. Latency: the last {RECENT} answered requests. MB: what "
        f"resident memory grew by when the version was loaded, in one worker.</p>"
    )


def _version(view: ModelView, version: dict[str, Any]) -> str:
    address = view.links.version(view.record["model"], version["version"])
    named = (
        f'<a href="{escape(address)}">{text(version["version"])}</a>' if address else text(version["version"])
    )
    role = ", ".join(filter(None, (version["role"], version["step"])))
    runtime = version["runtime"]
    # Why it is that one is told when pointed at.
    kept = f'<td title="{escape(runtime or "")}">{text(runtime.partition(":")[0] if runtime else None)}</td>'
    figures = "".join(_figure(version[name], name) for name in _FIGURES)
    return f'<tr><th scope="row">{named}</th><td>{text(role)}</td>{figures}{kept}</tr>\n'


def _figure(value: float | None, name: str) -> str:
    bad = " bad" if name in ("errors", "turned_away") and value else ""
    shown = NONE if value is None else f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
    return f'<td class="n{bad}">{shown}</td>'


def _incidents(view: ModelView) -> str:
    if not view.known.incidents:
        return "<h2>Incidents</h2>\n<p>None is known.</p>"
    body = "".join(_incident(each) for each, _ in view.known.incidents)
    heads = ("incident", "probable cause", "severity", "state", "opened", "resolved", "effect")
    return f"<h2>Incidents</h2>\n{_table('Incidents', 'Last incidents, newest first', heads, body)}"


def _incident(incident: "Incident") -> str:
    kind = ' class="bad"' if incident.state == "open" else ""
    resolved = minute(incident.resolved_at) if incident.resolved_at else NONE
    return (
        f'<tr><th scope="row">{incident.id}</th>'
        f'<td class="text">{text(incident.title)}</td><td>{text(incident.severity)}</td>'
        f"<td{kind}>{text(incident.state)}</td><td>{minute(incident.opened_at)}</td><td>{resolved}</td>"
        f'<td class="text">{text(incident.effect)}</td></tr>\n'
    )


def _timeline(happenings: list[Happening]) -> str:
    if not happenings:
        return "<h2>Timeline</h2>\n<p>Nothing is on record.</p>"
    items = "".join(map(_happening, happenings))
    return f'<h2>Timeline</h2>\n<ol class="timeline">{items}</ol>'


def _happening(each: Happening) -> str:
    kind = ' class="bad"' if each.bad else ""
    actor = f", {text(each.actor)}" if each.actor else ""
    reason = f": {text(each.reason)}" if each.reason else ""
    return f"<li>{minute(each.at)} <b{kind}>{text(each.what)}</b>{actor}{reason}</li>\n"


def _table(label: str, caption: str, heads: tuple[str, ...], body: str) -> str:
    """Return a table that scrolls by itself if it is wider than the screen; ``heads`` are HTML."""
    kinds = {head: ' class="n"' if head in _NUMBERS or head.endswith(_MEASURED) else "" for head in heads}
    cells = "".join(f'<th scope="col"{kind}>{head}</th>' for head, kind in kinds.items())
    return (
        f'<div class="wide" role="region" aria-label="{label}" tabindex="0"><table>'
        f"<caption>{caption}</caption><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>"
    )
