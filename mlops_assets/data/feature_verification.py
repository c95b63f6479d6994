"""Feature verification: what a feature table must not be, whatever its values."""

from typing import TYPE_CHECKING, Any

from mlops_assets.verdict import Finding, Verdict

if TYPE_CHECKING:
    import pandas as pd

MAX_LEAKAGE = 0.99
MAX_SHIFT = 1.0
_ROWS = 50_000


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
    findings: list[Finding] = []
    strongest, shifts = 0.0, {}
    step = max(1, len(features) // _ROWS)
    sample, labels = features.iloc[::step], target.iloc[::step]
    for name, column in features.items():
        if column.nunique(dropna=False) <= 1:
            findings.append(_finding(name, "constant", f"only {column.iloc[0]!r}", "≥ 2 values"))
            continue
        strength = target_strength(sample[name], labels)
        strongest = max(strongest, strength)
        if strength > max_leakage:
            findings.append(_finding(name, "tells the target", f"{strength:.4f}", f"≤ {max_leakage}"))
        if previous is not None and name in previous:
            shifts[str(name)] = shift = population_stability(previous[name], column)
            if shift > max_shift:
                findings.append(
                    _finding(name, "moved since last training", f"PSI {shift:.2f}", f"≤ {max_shift}")
                )
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


def target_strength(feature: "pd.Series[Any]", target: "pd.Series[Any]") -> float:
    """Return how well one feature alone tells the target, from 0 (not at all) to 1 (perfectly).

    For two classes this is ``|2 AUC - 1|`` (Somers' D); for more classes the accuracy of the best
    guess per feature value beyond guessing the commonest class; for a number the absolute rank
    correlation (Spearman). Text counts by its commonest-target value.
    """
    import pandas as pd
    from scipy.stats import rankdata

    known = feature.notna() & target.notna()
    values, labels = feature[known], target[known]
    if len(values) < 20 or labels.nunique() < 2:
        return 0.0
    if not pd.api.types.is_numeric_dtype(values.dtype):
        # A column unique to each row names the row, it does not tell its target.
        if values.nunique() > len(values) // 2:
            return 0.0
        if labels.nunique() > 20:
            values = labels.groupby(values).transform("mean")
        else:
            return _purity(values, labels)
    if labels.nunique() == 2:
        positive = (labels == sorted(labels.unique())[1]).to_numpy()
        ranks = rankdata(values)
        n_pos, n_neg = positive.sum(), (~positive).sum()
        auc = (ranks[positive].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg)
        return float(abs(2 * auc - 1))
    if labels.nunique() <= 20:
        return _purity(values if values.nunique() <= 50 else pd.qcut(values, 50, duplicates="drop"), labels)
    return float(abs(pd.Series(rankdata(values)).corr(pd.Series(rankdata(labels)))))


def _purity(values: "pd.Series[Any]", labels: "pd.Series[Any]") -> float:
    base = labels.value_counts(normalize=True).iloc[0]
    hits = labels.groupby(values, observed=True).agg(lambda g: g.value_counts().iloc[0]).sum()
    return float(max(0.0, (hits / len(labels) - base) / (1 - base)))


def population_stability(reference: "pd.Series[Any]", current: "pd.Series[Any]", bins: int = 10) -> float:
    """Return the population stability index of ``current`` against ``reference``.

    Bins are the reference's quantiles (its values for text), missing values count as a bin of their
    own, and empty bins as 1e-4.

    Source: Siddiqi, "Credit Risk Scorecards" (2006), chapter 9.
    """
    import numpy as np
    import pandas as pd

    if pd.api.types.is_numeric_dtype(reference.dtype):
        edges = np.unique(np.nanquantile(reference.to_numpy(dtype=float), np.linspace(0, 1, bins + 1)))
        inner = edges[1:-1] if len(edges) > 2 else edges[:1]
        old = pd.Series(np.searchsorted(inner, reference, side="right")).where(
            reference.notna().to_numpy(), -1
        )
        new = pd.Series(np.searchsorted(inner, current, side="right")).where(current.notna().to_numpy(), -1)
    else:
        old, new = reference.astype("object").fillna("∅"), current.astype("object").fillna("∅")
    p = old.value_counts(normalize=True)
    q = new.value_counts(normalize=True)
    p, q = p.align(q, fill_value=0.0)
    p, q = p.clip(lower=1e-4), q.clip(lower=1e-4)
    return float(((q - p) * np.log(q / p)).sum())
