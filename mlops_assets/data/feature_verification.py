"""Feature verification: what a feature table must not be, whatever its values."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mlops_assets.verdict import Figure, Finding, Measurement

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 50_000
_SHOWN = 10
_COMMON = 0.05  # share of the rows; what is rarer may be absent by chance or season
_FEWEST = 20  # rows of the rarer class, or values, below which chance alone looks like knowledge


def measure_features(
    features: "pd.DataFrame",
    target: "pd.Series[Any]",
    previous: "pd.DataFrame | None" = None,
    categories: "Mapping[str, tuple[pd.Series[Any], pd.Series[Any]]]" = MappingProxyType({}),
    previous_target: "pd.Series[Any] | None" = None,
) -> Measurement:
    """Look at a feature table before anything is trained on it.

    Args:
        features: Feature columns.
        target: The column to predict.
        previous: The same features in the previous training window, if there was one.
        categories: What raw columns of categories held in the previous window, and hold now.
        previous_target: What was to be predicted in the previous window.

    Returns:
        What gate ``feature_verification`` measured: features that are broken, how well each alone tells
        the target, and the population stability index of each against the previous window. The usual
        limit of .25 on the latter is too tight here: seasons move a feature that much, a unit error far
        more.
    """
    broken = [*_broken(features, previous), *_vanished(categories)]
    out = {finding["column"] for finding in broken}
    step = max(1, len(features) // _ROWS)
    sample, labels = features.iloc[::step], target.iloc[::step]
    strengths = {str(n): target_strength(sample[n], labels) for n in features if str(n) not in out}
    shifts = {
        str(n): population_stability(previous[n], column)
        for n, column in features.items()
        if previous is not None and n in previous and str(n) not in out
    }
    if previous_target is not None:
        shifts[f"the target {target.name}"] = population_stability(previous_target, target)
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
        ),
        findings=tuple(broken),
    )


def _largest(name: str, values: dict[str, float], limit: str) -> Iterator[Figure]:
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
        elif _is_numeric(column) and (infinite := int(np.isinf(column).sum())) > 0:
            yield _finding(name, "infinite", f"{infinite:,} rows")
        elif previous is not None and name in previous and _is_numeric(previous[name]) != _is_numeric(column):
            kinds = f"{previous[name].dtype} to {column.dtype}"
            yield _finding(name, "type changed since the last training", kinds)
    if previous is not None:
        for name in previous.columns.difference(features.columns):
            yield _finding(name, "gone since the last training", "missing")


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


def _is_numeric(column: "pd.Series[Any]") -> bool:
    import pandas as pd

    return pd.api.types.is_numeric_dtype(column.dtype)


def target_strength(feature: "pd.Series[Any]", target: "pd.Series[Any]") -> float:
    """Return how well one feature alone tells the target, from 0 (not at all) to 1 (perfectly).

    The strongest of what the feature's order, its values and its gaps tell: for a number to predict the
    absolute rank correlation (Spearman); for two classes ``|2 AUC - 1|`` (Somers' D); for classes also
    how many of the errors of guessing the commonest class vanish when guessing by the feature's value
    (Goodman and Kruskal's lambda). What a value tells is learnt on one half of the rows and counted on
    the other, so that a column unique to each row, which names the row, tells nothing.

    Source: Goodman and Kruskal, "Measures of Association for Cross Classifications" (1954), section 5.
    """
    missing = feature.isna() & target.notna()
    known = feature.notna() & target.notna()
    by_gaps = _strength(missing[target.notna()].astype("float32"), target[target.notna()])
    return max(by_gaps if missing.any() else 0.0, _strength(feature[known], target[known]))


def _strength(values: "pd.Series[Any]", labels: "pd.Series[Any]") -> float:
    import pandas as pd

    counts = labels.value_counts()
    if len(counts) < 2 or len(values) < 2 * _FEWEST:
        return 0.0
    numeric = _is_numeric(values)
    if len(counts) > 20 and _is_numeric(labels):  # a number to predict
        return _rank_correlation(values if numeric else _mean_by_value(values, labels), labels)
    if counts.iloc[1:].sum() < _FEWEST:
        return 0.0
    groups = pd.qcut(values, 50, duplicates="drop") if numeric and values.nunique() > 50 else values
    by_value = _lambda(groups, labels)
    return max(by_value, _somers_d(values, labels)) if numeric and len(counts) == 2 else by_value


def _somers_d(values: "pd.Series[Any]", labels: "pd.Series[Any]") -> float:
    from scipy.stats import rankdata

    positive = (labels == labels.iloc[0]).to_numpy()
    ranks = rankdata(values)
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    auc = (ranks[positive].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg)
    return float(abs(2 * auc - 1))


def _lambda(groups: "pd.Series[Any]", labels: "pd.Series[Any]") -> float:
    commonest = labels.mode().iloc[0]
    hits = 0
    for learnt, judged in _halves(groups, labels):
        groups_learnt, labels_learnt = learnt
        groups_judged, labels_judged = judged
        counts = (
            labels_learnt.groupby([groups_learnt, labels_learnt], observed=True).size().unstack(fill_value=0)
        )
        guesses = groups_judged.map(counts.idxmax(axis=1)).astype("object")
        hits += int((guesses.where(guesses.notna(), commonest) == labels_judged.astype("object")).sum())
    base = int((labels == commonest).sum())
    return max(0.0, (hits - base) / (len(labels) - base))


def _mean_by_value(values: "pd.Series[Any]", labels: "pd.Series[Any]") -> "pd.Series[Any]":
    import pandas as pd

    means: list[pd.Series[Any]] = [
        judged[0].map(learnt[1].groupby(learnt[0], observed=True).mean())
        for learnt, judged in _halves(values, labels)
    ]
    learnt_apart: pd.Series[Any] = pd.concat(means).reindex(labels.index)
    return learnt_apart.fillna(labels.mean())


def _rank_correlation(values: "pd.Series[Any]", labels: "pd.Series[Any]") -> float:
    return abs(float(values.rank().corr(labels.rank()))) if values.nunique() > 1 else 0.0


def _halves(values: "pd.Series[Any]", labels: "pd.Series[Any]") -> "Iterator[Any]":
    """Yield two pairs of halves, each half once to learn from and once to judge by."""
    for start in (0, 1):
        learnt, judged = slice(start, None, 2), slice(1 - start, None, 2)
        yield (values.iloc[learnt], labels.iloc[learnt]), (values.iloc[judged], labels.iloc[judged])


def population_stability(reference: "pd.Series[Any]", current: "pd.Series[Any]", bins: int = 10) -> float:
    """Return the population stability index of ``current`` against ``reference``.

    Bins are the reference's quantiles, for text its commonest values (of 20 rows at least) and all
    others together; missing values are a bin of their own. Half a row is added to each bin, so that a
    bin that happens to be empty in a small sample does not look like a shift.

    Source: Siddiqi, "Credit Risk Scorecards" (2006), chapter 9; for the half row Agresti, "Categorical
    Data Analysis" (2013), section 3.1.
    """
    import numpy as np
    import pandas as pd

    known = reference.dropna()
    # Chance alone moves nearly empty bins: the index of no shift at all grows with bins per row.
    bins = min(bins, max(2, min(len(reference), len(current)) // _FEWEST))
    if _is_numeric(reference):
        # Each edge opens a bin, the last one too, so that the two values of a flag are told apart.
        quantiles = np.quantile(known, np.linspace(0, 1, bins + 1)) if len(known) else np.empty(0)
        edges = np.unique(quantiles)[1:]
        old, new = (
            pd.Series(np.searchsorted(edges, values, side="right")).where(values.notna().to_numpy(), -1)
            for values in (reference, current)
        )
    else:
        counts = known.value_counts()[: bins - 1]
        common = counts[counts >= _FEWEST].index
        old, new = (
            values.astype("object").where(values.isin(common) | values.isna(), "other").fillna("missing")
            for values in (reference, current)
        )
    p, q = old.value_counts().align(new.value_counts(), fill_value=0)
    p, q = (p + 0.5) / (p + 0.5).sum(), (q + 0.5) / (q + 0.5).sum()
    return float(((q - p) * np.log(q / p)).sum())
