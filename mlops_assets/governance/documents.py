"""Model card and data sheet as pages: HTML for people, Markdown for repositories.

A page needs nothing but itself: no script, no font, no picture from elsewhere. All text in it is escaped
by default, in Markdown too, because purposes, column names and reasons are written by whoever writes them.

Source of what they tell: Mitchell et al., "Model Cards for Model Reporting" (2019); Gebru et al.,
"Datasheets for Datasets" (2021).
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from mlops_assets.governance import pictures
from mlops_assets.governance.card_facts import CardFacts, GroupFigure
from mlops_assets.governance.frameworks import SOURCES, references
from mlops_assets.specs.tasks import HIGHER_IS_BETTER
from mlops_assets.verdict import Figure, Verdict

if TYPE_CHECKING:
    from jinja2 import Environment

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


def _document(name: str, facts: CardFacts) -> Document:
    values = {
        "card": facts,
        "refused": [verdict.gate for verdict in facts.verdicts if not verdict.passed],
        "on_data": [verdict for verdict in facts.verdicts if verdict.gate in _ON_DATA],
        "thresholds": _thresholds(facts),
        "groups": _groups(facts),
        "overall": next((f.value for f in facts.metrics if f.name == facts.primary_metric), None),
        "scale": pictures.scale([group.figure for group in facts.by_group]),
        "sources": SOURCES,
    }
    html, markdown = _html(), _markdown()
    return Document(
        markdown=re.sub(r"\n{3,}", "\n\n", markdown.get_template(f"{name}.md.j2").render(values)),
        html=html.get_template(f"{name}.html.j2").render(values),
    )


def _groups(facts: CardFacts) -> dict[str, list[GroupFigure]]:
    """Return the groups by column, those that fare worst first."""
    sign = 1 if facts.primary_metric in HIGHER_IS_BETTER else -1
    found: dict[str, list[GroupFigure]] = {}
    for group in sorted(facts.by_group, key=lambda group: sign * (group.figure.value or 0)):
        found.setdefault(group.column, []).append(group)
    return found


def _thresholds(facts: CardFacts) -> dict[str, str]:
    """Return what was demanded of each metric."""
    (limits,) = [v.limits for v in facts.verdicts if v.gate == "metric_thresholds"] or [{}]
    told = {
        metric.name: [_bound(f"{metric.name}.{end}", limits) for end in ("min", "max")]
        for metric in facts.metrics
    }
    return {name: " and ".join(filter(None, bounds)) for name, bounds in told.items()}


@cache
def _html() -> "Environment":
    environment = _environment(autoescape=True)
    for picture in (pictures.interval_bar, pictures.calibration_curve, pictures.histogram):
        environment.globals[picture.__name__] = picture
    return environment


@cache
def _markdown() -> "Environment":
    environment = _environment(autoescape=False, finalize=_as_markdown)
    environment.filters["code"] = _code
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
    environment.globals["references"] = references
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
    """Return a figure with its interval, as in "0.686 (0.679 to 0.693)"."""
    if figure.low is None and figure.high is None:
        return _figure(figure.value)
    return f"{_figure(figure.value)} ({_figure(figure.low)} to {_figure(figure.high)})"


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
    at_least = limit.startswith("min_") or limit.endswith(".min")
    return f"{'≥' if at_least else '≤'} {_figure(limits[limit])}"
