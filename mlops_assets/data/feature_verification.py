"""Feature verification: what a feature table must not be, whatever its values."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING, Any

from mlops_assets.data.columns import is_numeric
from mlops_assets.data.population_stability import population_stability
from mlops_assets.data.target_strength import target_strength
from mlops_assets.data.unsteady_code import unsteady_calls
from mlops_assets.verdict import Figure, Finding, Measurement

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_ROWS = 50_000
_SHOWN = 10
_ALL, _SOME = 0.9, 0.3  # shares of the newest rows, and of those before them
_MOVED, _AS_THE_OTHER = 0.2, 0.2  # population stability index; share of it that is left where it is compared
_COMMON = 0.05  # share of the rows; what is rarer may be absent by chance or season
_FEWEST = 20  # rows below which chance alone looks like a fault


@dataclass(frozen=True, eq=False)
class LastTraining:
    """What the model that serves was trained on, as far as it can be compared with.

    Attributes:
        features: The same features then.
        target: The column to predict then.
        categories: What raw columns of categories held then, and hold now.
        rewritten: Share of the rows known from then whose value is another one now, by raw column.
    """

    features: "pd.DataFrame | None" = None
    target: "pd.Series[Any] | None" = None
    categories: "Mapping[str, tuple[pd.Series[Any], pd.Series[Any]]]" = field(default_factory=dict)
    rewritten: Mapping[str, float] = field(default_factory=dict)


_FIRST = LastTraining()


def measure_features(
    features: "pd.DataFrame",
    target: "pd.Series[Any]",
    last: LastTraining = _FIRST,
    newest: "np.ndarray[Any, Any] | None" = None,
    code: str | None = None,
) -> Measurement:
    """Look at a feature table before anything is trained on it.

    Args:
        features: Feature columns.
        target: The column to predict.
        last: What the model that serves was trained on.
        newest: Which rows are the newest, by which the model will be judged; shape (n,).
        code: Source of the module that computes the features.

    Returns:
        What gate ``feature_verification`` measured: features that are broken, how well each alone tells
        the target, the population stability index of each against the last training, and what the source
        tells otherwise than then. The usual limit of .25 on the index is too tight here: seasons move a
        feature that much, a unit error far more.
    """
    previous = last.features

    @cache
    def shift(name: Any) -> float:
        assert previous is not None
        return population_stability(previous[name], features[name])

    broken = [
        *_broken(features, previous),
        *(_stopped(features, newest) if newest is not None else ()),
        *_vanished(last.categories),
        *(_swapped(features, previous, shift) if previous is not None else ()),
        *(_unsteady(code) if code is not None else ()),
    ]
    out = {finding["column"] for finding in broken}
    step = max(1, len(features) // _ROWS)
    sample, labels = features.iloc[::step], target.iloc[::step]
    strengths = {str(n): target_strength(sample[n], labels) for n in features if str(n) not in out}
    shifts = {
        str(n): shift(n) for n in features if previous is not None and n in previous and str(n) not in out
    }
    if last.target is not None:
        shifts[f"the target {target.name}"] = population_stability(last.target, target)
    told = "; ".join(f"{f['column']}: {f['problem']} ({f['observed']})" for f in broken[:3])
    return Measurement(
        gate="feature_verification",
        summary=f"{features.shape[1]} features: {len(broken)} broken, the strongest alone tells "
        f"{max(strengths.values(), default=0):.2f} of the target"
        + (f", the largest shift is {max(shifts.values()):.2f}" if shifts else ""),
        figures=(
            Figure(name="broken features", value=len(broken), limit="max_broken", note=told),
            *_largest("what {} tells of the target", strengths, "max_leakage"),
            *_largest("shift of {} since the last training", shifts, "max_shift"),
            *_largest("values of {} rewritten since the last training", last.rewritten, "max_rewritten"),
        ),
        findings=tuple(broken),
    )


def _largest(name: str, values: Mapping[str, float], limit: str) -> Iterator[Figure]:
    """Yield the largest few figures; there is one in any case, so that what was looked for is on record."""
    if not values:
        yield Figure(name=name.format("any feature"), value=0.0, limit=limit, note="nothing to compare")
    for feature in sorted(values, key=lambda n: -values[n])[:_SHOWN]:
        yield Figure(name=name.format(feature), value=values[feature], limit=limit)


def _broken(features: "pd.DataFrame", previous: "pd.DataFrame | None") -> Iterator[Finding]:
    import numpy as np

    for name, column in features.items():
        if column.nunique(dropna=False) <= 1:
            yield _finding(name, "constant", f"only {column.iloc[0]!r}")
        elif is_numeric(column) and (infinite := int(np.isinf(column).sum())) > 0:
            yield _finding(name, "infinite", f"{infinite:,} rows")
        elif previous is not None and name in previous and is_numeric(previous[name]) != is_numeric(column):
            kinds = f"{previous[name].dtype} to {column.dtype}"
            yield _finding(name, "type changed since the last training", kinds)
    if previous is not None:
        for name in previous.columns.difference(features.columns):
            yield _finding(name, "gone since the last training", "missing")


def _stopped(features: "pd.DataFrame", newest: "np.ndarray[Any, Any]") -> Iterator[Finding]:
    """Yield features that the newest rows do not have and the others do.

    That one has a single value in them proves nothing: so does the month.
    """
    if min(newest.sum(), (~newest).sum()) < _FEWEST:
        return
    for name, column in features.items():
        now, before = column[newest], column[~newest]
        gaps = float(now.isna().mean())
        if gaps >= _ALL and before.isna().mean() <= 1 - _SOME:
            yield _finding(name, "missing in the newest rows", f"{gaps:.0%} of {len(now):,}")


def _swapped(
    features: "pd.DataFrame", previous: "pd.DataFrame", shift: Callable[[Any], float]
) -> Iterator[Finding]:
    """Yield pairs of features of which each looks as the other one did; ``shift`` tells how far one moved."""
    both = (name for name in features if name in previous and is_numeric(features[name]))
    moved = [name for name in both if shift(name) >= _MOVED]
    for one, other in combinations(moved, 2):
        crossed = (
            population_stability(previous[one], features[other]),
            population_stability(previous[other], features[one]),
        )
        if max(crossed) < _MOVED / 2 and max(crossed) < _AS_THE_OTHER * min(shift(one), shift(other)):
            told = f"{other} as {one} was, and the other way round"
            yield _finding(one, "swapped since the last training", told)


def _unsteady(code: str) -> Iterator[Finding]:
    """Yield what the features hang on that is another thing where the model serves, and tomorrow."""
    for line, call, what in unsteady_calls(code):
        yield _finding(f"line {line} of the features' code", f"hangs on {what}", call)


def _vanished(categories: "Mapping[str, tuple[pd.Series[Any], pd.Series[Any]]]") -> Iterator[Finding]:
    """Yield values that were common and are there no more, as when one of several deliveries is missing."""
    for name, (before, now) in categories.items():
        shares = before.value_counts(normalize=True)
        common = shares[shares >= _COMMON]
        if len(now) * _COMMON < _FEWEST:
            continue
        for value in sorted(set(common.index) - set(now), key=str):
            told = f"{value!r}, which {shares[value]:.0%} of the rows had"
            yield _finding(name, "a value is gone since the last training", told)


def _finding(name: Any, problem: str, observed: str) -> Finding:
    return {"column": str(name), "problem": problem, "observed": observed}
