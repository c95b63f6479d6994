"""Feature verification: what a feature table must not be, whatever its values."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mlops_assets.verdict import Finding, Verdict

if TYPE_CHECKING:
    import pandas as pd

MAX_LEAKAGE = 0.99
MAX_SHIFT = 1.0
_ROWS = 50_000
_FEWEST = 20  # rows of the rarer class, or values, below which chance alone looks like knowledge


def verify_features(
    features: "pd.DataFrame",
    target: "pd.Series[Any]",
    previous: "pd.DataFrame | None" = None,
    *,
    max_leakage: float = MAX_LEAKAGE,
    max_shift: float = MAX_SHIFT,
) -> Verdict:
    """Judge a feature table before anything is trained on it.

    Args:
        features: Feature columns.
        target: The column to predict.
        previous: The same features in the previous training window, if there was one.
        max_leakage: Greatest strength with which one feature alone may tell the target.
        max_shift: Greatest population stability index against the previous window. The default is
            far above the usual .25: seasons move a feature that much, a unit error far more.

    Returns:
        A verdict of gate ``feature_verification``.
    """
    import numpy as np

    findings: list[Finding] = []
    strongest, shifts = 0.0, {}
    step = max(1, len(features) // _ROWS)
    sample, labels = features.iloc[::step], target.iloc[::step]
    for name, column in features.items():
        if column.nunique(dropna=False) <= 1:
            findings.append(_finding(name, "constant", f"only {column.iloc[0]!r}", "≥ 2 values"))
            continue
        if _is_numeric(column) and (infinite := int(np.isinf(column).sum())) > 0:
            findings.append(_finding(name, "infinite", f"{infinite:,} rows", "none"))
            continue
        strength = target_strength(sample[name], labels)
        strongest = max(strongest, strength)
        if strength > max_leakage:
            findings.append(_finding(name, "tells the target", f"{strength:.4f}", f"≤ {max_leakage}"))
        if previous is None or name not in previous:
            continue
        if _is_numeric(previous[name]) != _is_numeric(column):
            kinds = f"{previous[name].dtype} to {column.dtype}"
            findings.append(_finding(name, "type changed since last training", kinds, "the same"))
            continue
        shifts[str(name)] = shift = population_stability(previous[name], column)
        if shift > max_shift:
            findings.append(_finding(name, "moved since last training", f"PSI {shift:.2f}", f"≤ {max_shift}"))
    if previous is not None:
        findings.extend(
            _finding(name, "gone since last training", "missing", "present")
            for name in previous.columns.difference(features.columns)
        )
    return Verdict(
        gate="feature_verification",
        passed=not findings,
        summary=(
            f"{features.shape[1]} features vary, none gives the target away"
            + (", none moved beyond bounds" if shifts else "")
            if not findings
            else "; ".join(f"{f['column']}: {f['problem']} ({f['observed']})" for f in findings[:3])
        ),
        measured={
            "features": features.shape[1],
            "strongest_single_feature": strongest,
            "largest_shift": max(shifts.values(), default=None),
        },
        limits={"strongest_single_feature": max_leakage, "largest_shift": max_shift},
        findings=findings,
    )


def _finding(name: Any, problem: str, observed: str, limit: str) -> Finding:
    return {"column": str(name), "problem": problem, "observed": observed, "limit": limit}


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
