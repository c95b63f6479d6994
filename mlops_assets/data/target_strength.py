"""How well one feature alone tells the target."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mlops_assets.data.columns import is_numeric

if TYPE_CHECKING:
    import pandas as pd

_FEWEST = 20  # rows of the rarer class, or values, below which chance alone looks like knowledge


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
    numeric = is_numeric(values)
    if len(counts) > 20 and is_numeric(labels):  # a number to predict
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


def _halves(values: "pd.Series[Any]", labels: "pd.Series[Any]") -> Iterator[Any]:
    """Yield two pairs of halves, each half once to learn from and once to judge by."""
    for start in (0, 1):
        learnt, judged = slice(start, None, 2), slice(1 - start, None, 2)
        yield (values.iloc[learnt], labels.iloc[learnt]), (values.iloc[judged], labels.iloc[judged])
