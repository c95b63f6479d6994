"""The page of all models: one row each, filtered, sorted and searched by its address alone."""

from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

from mlops_assets.serving.fleet_page.choice import ONLY, SORTS, Choice, Record
from mlops_assets.serving.fleet_page.drawing import Point, sparkline
from mlops_assets.serving.fleet_page.layout import (
    NONE,
    RELOAD_SECONDS,
    day,
    number,
    page,
    problems_told,
    text,
    untold,
)
from mlops_assets.serving.fleet_page.links import model_page
from mlops_assets.serving.fleet_page.platform_records import KnownFleet
from mlops_assets.serving.fleet_page.records import state
from mlops_assets.specs.policy import RISKS

if TYPE_CHECKING:
    from mlops_assets.monitoring.fleet_state import ModelOverview

# Each column's head, by what a click on it sorts; None by nothing.
_COLUMNS: tuple[tuple[str, str | None, bool], ...] = (
    ("model", "model", False),
    ("owner", "owner", False),
    ("risk", "risk", False),
    ("champion", None, False),
    ("state", None, False),
    ("rows served", "rows", True),
    ("errors", "errors", True),
    ("p99 ms", None, True),
    ("performance", "performance", False),
    ("drift", "drift", True),
    ("incidents", "incidents", False),
    ("cost of 1,000", "cost", True),
    ("last drill", "drill", False),
)
_ONLY_WORDS = {
    "harm": "did harm",
    "incidents": "with incidents",
    "drift": "with drift",
    "rollout": "in a rollout",
    "trouble": "not as ordered",
}


def html(
    models: list[Record],
    known: KnownFleet,
    choice: Choice,
    problems: list[dict[str, Any]],
    since: datetime,
    *,
    reloads: bool = False,
) -> str:
    """Return the page.

    Args:
        models: Every model's record, as :func:`.records.rows` returns them.
        known: What the platform's database tells.
        choice: Which models are shown, and in which order.
        problems: What is wrong now.
        since: When the gateway began to count, naive UTC.
        reloads: Whether the page reloads by itself; whoever reads it slowly can switch that off.
    """
    chosen = choice.of_models(models)
    troubled = any(ONLY["trouble"](model) for model in models)
    main = "\n".join(
        (
            "<h1>Fleet</h1>",
            problems_told(problems),
            untold(known.untold),
            _summary(models),
            _form(models, choice, reloads=reloads),
            _table(chosen, len(models), known, choice),
            _legend(since),
            f"<p>{_switch(choice, reloads=reloads)}</p>",
        )
    )
    title = f"{'Trouble' if problems or troubled else 'Fleet'} – {len(models)} models – mlops_assets"
    return page(title, main, reloads=reloads)


def _summary(models: list[Record]) -> str:
    """Return how many models there is something to tell of, each figure a link to these."""
    counts = {only: sum(map(bool, map(ONLY[only], models))) for only in ONLY}
    told = [
        f'<li><a href="{escape(Choice(only=only).address())}">{count:,} {_ONLY_WORDS[only]}</a></li>'
        for only, count in counts.items()
        if count
    ]
    every = f'<li><a href="/fleet">{len(models):,} models</a></li>'
    return f'<nav aria-label="At a glance"><ul class="row">{every}{"".join(told)}</ul></nav>'


def _form(models: list[Record], choice: Choice, *, reloads: bool) -> str:
    owners = sorted({model["owner"] for model in models if model["owner"]})
    hidden = {"sort": choice.sort, "order": choice.order} if choice.sort != "model" or choice.order else {}
    kept = "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in {**hidden, **({"reload": "1"} if reloads else {})}.items()
    )
    return (
        f'<form method="get" action="/fleet" role="search" aria-label="Models">'
        f'<label>Model or owner<input type="search" name="q" value="{escape(choice.q)}"></label>'
        f"{_select('Owner', 'owner', {each: each for each in owners}, choice.owner)}"
        f"{_select('Risk', 'risk', {each: each for each in RISKS}, choice.risk)}"
        f"{_select('Only models', 'only', _ONLY_WORDS, choice.only)}{kept}"
        f'<button>Show</button><a href="/fleet">show all</a></form>'
    )


def _select(label: str, name: str, options: dict[str, str], chosen: str) -> str:
    if chosen and chosen not in options:
        options = {**options, chosen: chosen}
    listed = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(words)}</option>'
        for value, words in options.items()
    )
    return f'<label>{label}<select name="{name}"><option value="">all</option>{listed}</select></label>'


def _table(chosen: list[Record], every: int, known: KnownFleet, choice: Choice) -> str:
    heads = "".join(_head(words, sort, choice, is_number=figure) for words, sort, figure in _COLUMNS)
    shown = "".join(_line(model, known.overviews.get(model["model"])) for model in chosen)
    if not every:
        shown = f'<tr><td colspan="{len(_COLUMNS)}">No model serves yet.</td></tr>'
    elif not chosen:
        shown = (
            f'<tr><td colspan="{len(_COLUMNS)}">No model is like this. '
            f'<a href="/fleet">Show all {every:,}</a></td></tr>'
        )
    number_shown = f"{len(chosen):,}" if len(chosen) == every else f"{len(chosen):,} of {every:,}"
    return (
        f'<div class="wide" role="region" aria-label="Models" tabindex="0"><table>'
        f"<caption>{number_shown} models</caption>"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>{shown}</tbody></table></div>"
    )


def _head(words: str, sort: str | None, choice: Choice, *, is_number: bool) -> str:
    kind = ' class="n"' if is_number else ""
    if sort is None or sort not in SORTS:
        return f'<th scope="col"{kind}>{words}</th>'
    sorted_, arrow = "", ""
    if sort == choice.sort:
        sorted_ = f' aria-sort="{"descending" if choice.descends else "ascending"}"'
        arrow = f' <span aria-hidden="true">{"▼" if choice.descends else "▲"}</span>'
    address = escape(choice.sorted_by(sort).address())
    return f'<th scope="col"{kind}{sorted_}><a href="{address}">{words}{arrow}</a></th>'


def _line(model: Record, seen: "ModelOverview | None") -> str:
    """Return a model's row."""
    versions, watched = model["versions"], model["watched"]
    champion = next((each for each in versions if each["role"] == "champion"), None)
    served, errors = (sum(each[name] for each in versions) for name in ("rows", "errors"))
    p99 = champion["p99_ms"] if champion else None
    kind = "good" if model["as_ordered"] else "bad"
    rollout = f"<br>{text(_rollout(model['rollout']))}" if model["rollout"] else ""
    drifted = watched["drifted"] if watched else None
    address, name = escape(model_page(model["model"])), escape(model["model"])
    return (
        f'<tr><th scope="row"><a href="{address}">{name}</a></th>'
        f"<td>{text(model['owner'])}</td><td>{text(model['risk'])}</td><td>{text(model['champion'])}</td>"
        f'<td><span class="{kind}">{escape(state(model))}</span>{rollout}</td>'
        f'<td class="n">{served:,}</td><td class="n{" bad" if errors else ""}">{errors:,}</td>'
        f'<td class="n">{NONE if p99 is None else f"{p99:,.1f}"}</td>'
        f"<td>{_performance(watched, seen)}</td>"
        f'<td class="n">{NONE if drifted is None else drifted}</td>'
        f"<td>{_incidents(model['incidents'])}</td>"
        f'<td class="n">{number(watched["cost"] if watched else None)}</td>'
        f"<td>{_drill(model['last_drill'])}</td></tr>\n"
    )


def _rollout(rollout: dict[str, str]) -> str:
    return f"version {rollout['version']}: {rollout['step']}"


def _performance(watched: dict[str, Any] | None, seen: "ModelOverview | None") -> str:
    if watched is None or seen is None:
        return NONE
    value, change = watched["measured"], watched["change"]
    kind = ""
    if value is None and (value := watched["estimated"]) is not None:
        kind = ", estimated"
    harm = ' <b class="bad">harm</b>' if watched["harm"] else ""
    # Not to the last bit, so that nothing is told as -0.0 %.
    by = f", {round(change, 3) + 0.0:+.1%}" if change is not None else ""
    points = [Point(each.end, each.measured, each.estimated, harm=each.harm) for each in seen.windows]
    figure = f"{number(value)} <small>{text(seen.newest.metric)}{kind}{by}</small>"
    return f"{sparkline(seen.newest.metric, points)} {figure}{harm}"


def _incidents(incidents: list[dict[str, Any]]) -> str:
    if not incidents:
        return NONE
    worst = incidents[0]["severity"]
    kind = ' class="bad"' if worst == "page" else ""
    return f"<span{kind}>{len(incidents)}, {escape(worst)}</span>"


def _drill(drill: dict[str, Any] | None) -> str:
    if drill is None:
        return NONE
    return day(drill["at"]) if drill["passed"] else f'<span class="bad">failed {day(drill["at"])}</span>'


def _legend(since: datetime) -> str:
    return (
        '<p class="quiet">Rows, errors (valid requests that the model failed on) and latency: all versions '
        f"since {since:%Y-%m-%d %H:%M} UTC, when this gateway started, without the platform's own probes. "
        "Performance: its course over the last 30 windows (measured as a solid line, estimated as a dashed "
        "one, harm as a dot), the primary metric in the newest window that was measured, and by how much "
        "that is better than the median of those before. Drift: columns that drifted in the newest window. "
        "Incidents: those that are not over, and how bad the worst is.</p>"
    )


def _switch(choice: Choice, *, reloads: bool) -> str:
    if reloads:
        return f'<a href="{escape(choice.address())}">stop reloading</a>'
    return f'<a href="{escape(choice.address(reload="1"))}">reload every {RELOAD_SECONDS} seconds</a>'
