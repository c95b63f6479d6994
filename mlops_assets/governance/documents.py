"""Model card and data sheet as pages: HTML for people, Markdown for repositories.

A page needs nothing but itself: no script, no font, no picture from elsewhere. All text in it is escaped
by default, in Markdown too, because purposes, column names and reasons are written by whoever writes them.

Source of what they tell: Mitchell et al., "Model Cards for Model Reporting" (2019); Gebru et al.,
"Datasheets for Datasets" (2021).
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from mlops_assets.governance import pictures
from mlops_assets.governance.card_facts import CardFacts
from mlops_assets.governance.frameworks import SOURCES, references
from mlops_assets.specs.tasks import HIGHER_IS_BETTER, METRICS
from mlops_assets.verdict import Figure, Verdict

if TYPE_CHECKING:
    from jinja2 import Environment

_METRICS = frozenset(name for names in METRICS.values() for name in names)
# What figures of groups mean, as far as their names do not tell.
_MEANINGS = {
    "shortfall": "how much less differences of predictions mean in a group than in the others, as a share: 0 "
    "is no less, 1 a group in which they mean nothing",
    "bias": "by how many standard deviations of the target predictions are too high, beyond those of others",
    "selection_rate": "share of positive decisions",
    "true_positive_rate": "share of positive decisions among those who deserve one",
    "false_positive_rate": "share of positive decisions among those who do not",
    "mean_prediction": "mean prediction, in standard deviations of the target",
    "underprediction": "by how much predictions are too low on average, in standard deviations of the target",
    "overprediction": "by how much they are too high, likewise",
}
_ON_DATA = ("data_contract", "feature_verification", "label_noise")


class Document(NamedTuple):
    """A page in both forms."""

    markdown: str
    html: str


def model_card(facts: CardFacts) -> Document:
    """Return the model card of a version."""
    return _document("model_card", facts)


def data_sheet(facts: CardFacts) -> Document:
    """Return the data sheet of what a version learnt from."""
    return _document("data_sheet", facts)


def markdown_page(template: str, **values: Any) -> str:
    """Return a Markdown page of a template of ours; whatever values say stays text."""
    return re.sub(r"\n{3,}", "\n\n", _markdown().get_template(template).render(values))


def page(template: str, **values: Any) -> Document:
    """Return a page of two templates of ours in both forms; whatever values say stays text.

    Args:
        template: Name of the templates, without their endings.
        **values: What they tell.
    """
    return Document(
        markdown=markdown_page(f"{template}.md.j2", **values),
        html=_html().get_template(f"{template}.html.j2").render(values),
    )


def _document(name: str, facts: CardFacts) -> Document:
    values = {
        "card": facts,
        "refused": [verdict.gate for verdict in facts.verdicts if not verdict.passed],
        "on_data": [verdict for verdict in facts.verdicts if verdict.gate in _ON_DATA],
        "thresholds": _thresholds(facts),
        "groups": _groups(facts),
        "scales": (scales := _scales(facts)),
        "dashed": _dashed(facts, scales),
        "meanings": {name: _MEANINGS[name] for name in _MEANINGS if name in scales},
        "sources": SOURCES,
    }
    return page(name, **values)


class _Group(NamedTuple):
    """A group of rows and its figures by name."""

    name: str
    rows: int
    figures: dict[str, Figure]


def _groups(facts: CardFacts) -> dict[str, list[_Group]]:
    """Return the groups by column, those that fare worst first.

    By a metric of the task that is plain; any other figure's gate has put them in order.
    """
    found: dict[str, dict[str, _Group]] = {}
    for one in facts.by_group:
        groups = found.setdefault(one.column, {})
        group = groups.setdefault(one.value, _Group(one.value, one.rows, {}))
        group.figures[one.figure.name] = one.figure
    return {column: sorted(groups.values(), key=_fares) for column, groups in found.items()}


def _measures(groups: Sequence[_Group]) -> list[str]:
    """Return the names of all figures that some group has, in the order in which they are told."""
    return list(dict.fromkeys(name for group in groups for name in group.figures))


def _fares(group: _Group) -> float:
    """Return a number that is the smaller the worse a group fares; the same for all if it cannot be told."""
    first = next(iter(group.figures.values()))
    if first.name not in _METRICS or not pictures.is_known(first.value):
        return 0.0
    return first.value if first.name in HIGHER_IS_BETTER else -first.value


def _scales(facts: CardFacts) -> dict[str, tuple[float, float]]:
    """Return for each figure of groups the scale that all groups share."""
    figures: dict[str, list[Figure]] = {}
    for one in facts.by_group:
        figures.setdefault(one.figure.name, []).append(one.figure)
    return {name: pictures.scale(found) for name, found in figures.items()}


def _thresholds(facts: CardFacts) -> dict[str, str]:
    """Return what was demanded of each metric."""
    (limits,) = [v.limits for v in facts.verdicts if v.gate == "metric_thresholds"] or [{}]
    told = {
        metric.name: [_bound(f"{metric.name}.{end}", limits) for end in ("min", "max")]
        for metric in facts.metrics
    }
    return {name: " and ".join(filter(None, bounds)) for name, bounds in told.items()}


def _dashed(facts: CardFacts, scales: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Return what groups are seen beside: all rows together, or zero of what is a difference by itself."""
    zeros = {name: 0.0 for name, (low, high) in scales.items() if low < 0 < high}
    known = {metric.name: metric.value for metric in facts.metrics if pictures.is_known(metric.value)}
    return zeros | {name: value for name, value in known.items() if name in scales}


@cache
def _html() -> "Environment":
    environment = _environment(autoescape=True)
    for picture in (pictures.interval_bar, pictures.calibration_curve, pictures.histogram):
        environment.globals[picture.__name__] = picture
    return environment


@cache
def _markdown() -> "Environment":
    environment = _environment(autoescape=False, finalize=_as_markdown)
    environment.filters |= {"code": _code, "raw": _Written}
    return environment


def _environment(**options: Any) -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("mlops_assets.governance"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    environment.filters |= {"figure": _figure, "interval": _interval, "share": _share, "time": _time,
                            "words": _words, "demand": _demand}  # fmt: skip
    environment.globals |= {"references": references, "measures": _measures}
    return environment


class _Written(str):
    """Markdown that has been escaped."""

    __slots__ = ()


def _as_markdown(value: Any) -> str:
    """Return a value so that Markdown takes it for one line of plain text."""
    if isinstance(value, _Written):
        return value
    text = re.sub(r"([\\`*_\[\]<>|~&$])", r"\\\1", _words(value))
    return re.sub(r"^(?=[#+=-])|^(\d+)(?=[.)](?:\s|$))", r"\1\\", text)


def _code(value: Any) -> _Written:
    """Return a value as a code span, which may stand in a table."""
    text = _words(value).replace("|", "\\|") or " "
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if "`" in text else ""
    return _Written(f"{fence}{pad}{text}{pad}{fence}")


def _words(value: Any) -> str:
    """Return a value as text on one line."""
    return "" if value is None else re.sub(r"\s+", " ", str(value))


def _figure(value: float | int | None) -> str:
    if not pictures.is_known(value):
        return "–"
    if isinstance(value, int) or (abs(value) >= 1000 and value == int(value)):
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _interval(figure: Figure) -> str:
    """Return a figure with its interval, as in "0.686 (0.679 to 0.693)", or with the one bound it has."""
    told = _figure(figure.value)
    if figure.low is None and figure.high is None:
        return told
    if figure.high is None:
        return f"{told} (at least {_figure(figure.low)})"
    if figure.low is None:
        return f"{told} (at most {_figure(figure.high)})"
    return f"{told} ({_figure(figure.low)} to {_figure(figure.high)})"


def _share(value: float) -> str:
    if 0 < value < 0.001:
        return "< 0.1 %"
    return f"{value:.1%}".replace("%", " %").replace(".0 ", " ")


def _time(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC" if value else "–"


def _demand(figure: Figure, verdict: Verdict) -> str:
    """Return what a figure was held to, as in "≤ 0.1"; nothing if it is only told."""
    return _bound(figure.limit, verdict.limits)


def _bound(limit: str, limits: Mapping[str, float]) -> str:
    if limit not in limits:
        return ""
    at_least = limit.startswith("min_") or limit.endswith((".min", "confidence"))
    return f"{'≥' if at_least else '≤'} {_figure(limits[limit])}"
