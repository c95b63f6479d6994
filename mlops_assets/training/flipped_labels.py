"""How many labels of a group are flipped, told by what a model of other rows makes of them.

A model of some of the rows judges the others. Groups differ honestly in how often an event happens,
so a group whose rate is not what the model expects proves nothing. But a flipped label has nothing to do
with its row, so where labels are flipped, the surest rows turn out wrong as often as the others: the event
happens with probability

    e + (1 - 2 e) s(a + l)

with ``l`` the model's log odds, ``s`` the logistic function, ``a`` the group's own honest level, and ``e``
the share of flipped labels. Both are estimated by maximum likelihood, and ``e`` is bounded by its profile
likelihood. This works as well where the features tell little, because what is compared is how a group's
labels follow the features, and not how often single labels are denied.

Sources: Angluin and Laird, "Learning From Noisy Examples", Machine Learning 2 (1988) (the noise);
Hausman, Abrevaya and Scott-Morton, "Misclassification of the dependent variable in a discrete-response
setting", Journal of Econometrics 87 (1998) (its likelihood); Cox, "Two further applications of a model for
binary regression", Biometrika 45 (1958) (recalibration of the log odds); Venzon and Moolgavkar, "A Method for
Computing Profile-Likelihood-Based Confidence Intervals", Applied Statistics 37 (1988).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.training.groups import GroupFigure, members

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier

    Array = np.ndarray[Any, Any]

_BINS = 50  # of the log odds: rows of one bin are counted together
_SMALLEST = 1e-6
# Share of the log odds' spread over all rows. Where the model's answers hardly differ, as in a quarter of its
# strongest feature, its own noise weakens what labels owe to features, just as flipped labels do
# (attenuation, Spearman 1904). So of the spread only counts what two models of different rows agree on.
_LEAST_SPREAD = 0.4
_LEAST_AGREED = 0.35  # share of the variance of either one
_WORK = 250_000  # rows times classes times folds: the fewer rows there are, the more each is worth


@dataclass(frozen=True, eq=False)
class CrossFit:
    """What a model says of rows it was not fitted on.

    Attributes:
        probabilities: Of the classes, shape (n, k).
        halves: The same of two models, each fitted on one half of the rows; shape (2, n, k).
    """

    probabilities: "Array"
    halves: "Array"


def cross_fitted(features: "pd.DataFrame", times: "pd.Series[Any]", codes: "Array") -> CrossFit:
    """Return the probabilities of a small fixed model for rows it was not fitted on.

    The model is the same for every problem, so that figures can be compared between them. It is also told
    the time: rows of one hour share what no feature knows, and nothing is predicted here that is not past.

    Args:
        features: Feature columns, numbers or text.
        times: Time of each row.
        codes: Class of each row, 0 … k - 1.
    """
    import numpy as np

    matrix, classes = _matrix(features, times), int(codes.max()) + 1
    folds = int(np.clip(_WORK // (len(codes) * classes), 2, 8))
    # Folds with as many rows of each class: in random order within it, every n-th one.
    shuffled = np.random.default_rng(0).permutation(len(codes))
    fold = np.empty(len(codes), dtype=int)
    fold[shuffled[np.argsort(codes[shuffled], kind="stable")]] = np.arange(len(codes)) % folds
    half = np.random.default_rng(1).integers(0, 2, len(codes))
    found = np.zeros((3, len(codes), classes))
    for number in range(folds):
        learnt, judged = fold != number, np.flatnonzero(fold == number)
        for which, rows in enumerate((learnt, learnt & (half == 0), learnt & (half == 1))):
            model = _fitted(matrix[rows], codes[rows])
            found[which][np.ix_(judged, model.classes_.astype(int))] = model.predict_proba(matrix[judged])
    return CrossFit(found[0], found[1:])


def _fitted(matrix: "Array", codes: "Array") -> "HistGradientBoostingClassifier":
    from sklearn.ensemble import HistGradientBoostingClassifier

    # Stopped early: a model that knows its own rows by heart is sure of others without reason, and its noise
    # would look like flipped labels.
    model = HistGradientBoostingClassifier(
        max_iter=100,
        learning_rate=0.2,
        min_samples_leaf=50,
        early_stopping=True,
        validation_fraction=0.15,
        n_iter_no_change=5,
        random_state=0,
    )
    return model.fit(matrix, codes)


def _matrix(features: "pd.DataFrame", times: "pd.Series[Any]") -> "Array":
    import numpy as np
    import pandas as pd

    columns = []
    for _, values in features.items():
        if not pd.api.types.is_numeric_dtype(values.dtype):
            known = values.astype("object")
            values = known.map({v: i for i, v in enumerate(known.value_counts().index)})
        columns.append(values.to_numpy(dtype="float64"))
    hours = (times - times.min()).dt.total_seconds() / 3600
    return np.column_stack([*columns, hours])


def flipped_shares(
    fitted: CrossFit,
    codes: "Array",
    labels: tuple[Any, ...],
    groups: "Mapping[str, pd.Series[Any]]",
    *,
    confidence: float,
    min_rows: int,
) -> list[GroupFigure]:
    """Return the share of flipped labels in each group of at least ``min_rows`` rows.

    A group in which the model hardly tells rows apart is left out.

    Args:
        fitted: What a model that has not seen the rows says of them.
        codes: Class of each row, shape (n,).
        labels: What the classes are called.
        groups: The value of each row, by column.
        confidence: One-sided, of all bounds together (Bonferroni).
        min_rows: Rows a group needs.
    """
    import numpy as np
    from scipy.stats import norm

    large = list(members(groups, min_rows))
    events = (1,) if len(labels) == 2 else range(len(labels))
    width = norm.isf((1 - confidence) / max(1, len(large) * len(events)))
    found = []
    for event in events:
        hit = codes == event
        bins, log_odds = _binned(fitted.probabilities[:, event], hit)
        halves = _log_odds(fitted.halves[:, :, event])
        least = _LEAST_SPREAD * _agreed_spread(halves)
        told = [group for group in large if _agreed_spread(halves[:, group[2]]) > least]
        rows = np.array([np.bincount(bins[mask], minlength=len(log_odds)) for *_, mask in told])
        hits = np.array([np.bincount(bins[mask & hit], minlength=len(log_odds)) for *_, mask in told])
        estimates = zip(*_profiles(rows, hits, log_odds, width), strict=True) if told else ()
        found += [
            GroupFigure(
                column, value, str(labels[event]), int(mask.sum()), float(share), float(low), float(high)
            )
            for (column, value, mask), (share, low, high) in zip(told, estimates, strict=True)
        ]
    return found


def _log_odds(probabilities: "Array") -> "Array":
    import numpy as np
    from scipy.special import logit

    return np.asarray(logit(np.clip(probabilities, _SMALLEST, 1 - _SMALLEST)))


def _agreed_spread(halves: "Array") -> float:
    """Return the standard deviation of what two models have in common; 0 if most of theirs is each one's own.

    Args:
        halves: Their log odds, shape (2, n).
    """
    import numpy as np

    (one, common), (_, other) = np.cov(halves)
    return float(np.sqrt(common)) if common > _LEAST_AGREED * (one + other) / 2 else 0.0


def _binned(probabilities: "Array", hit: "Array") -> "tuple[Array, Array]":
    """Return each row's bin, and each bin's log odds after recalibration on all rows."""
    import numpy as np

    raw = _log_odds(probabilities)
    edges = np.unique(np.quantile(raw, np.linspace(0, 1, _BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, raw, side="right")
    # A bin between two equal edges is empty and goes.
    bins = np.unique(bins, return_inverse=True)[1]
    rows, hits = np.bincount(bins), np.bincount(bins[hit], minlength=bins.max() + 1)
    mean = np.bincount(bins, raw) / rows
    return bins, _recalibrated(mean, rows, hits)


def _recalibrated(log_odds: "Array", rows: "Array", hits: "Array") -> "Array":
    """Return ``a + b * log_odds`` as a logistic regression fits it to counts (Newton's method)."""
    import numpy as np
    from scipy.special import expit

    design = np.column_stack([np.ones_like(log_odds), log_odds])
    weights = np.array([0.0, 1.0])
    for _ in range(25):
        expected = expit(design @ weights)
        information = (design * (rows * expected * (1 - expected))[:, None]).T @ design
        step = np.linalg.solve(information + 1e-6 * np.eye(2), design.T @ (hits - rows * expected))
        weights += np.clip(step, -1, 1)
    recalibrated: Array = design @ weights
    return recalibrated


def _profiles(rows: "Array", hits: "Array", log_odds: "Array", width: float) -> "tuple[Array, Array, Array]":
    """Return the estimated share of flipped labels in each group, and its bounds.

    The likelihood is computed on a grid of shares and levels, for all groups in one product.

    Args:
        rows: Rows by group and bin, shape (groups, bins).
        hits: Those with the event.
        log_odds: What the model says of each bin.
        width: Half width of the interval in standard errors.
    """
    import numpy as np
    from scipy.special import expit

    shares = np.concatenate([np.arange(0, 0.1, 0.005), np.arange(0.1, 0.455, 0.01)])
    levels = np.arange(-5, 5.01, 0.05)
    honest = expit(levels[:, None] + log_odds)
    chance = shares[:, None, None] + (1 - 2 * shares[:, None, None]) * honest
    chance = np.clip(chance, _SMALLEST, 1 - _SMALLEST).reshape(-1, len(log_odds))
    likelihood = np.log(chance) @ hits.T + np.log1p(-chance) @ (rows - hits).T
    profile = likelihood.reshape(len(shares), len(levels), -1).max(axis=1)
    within = 2 * (profile.max(axis=0) - profile) <= width**2
    last = len(shares) - 1 - within[::-1].argmax(axis=0)
    return shares[profile.argmax(axis=0)], shares[within.argmax(axis=0)], shares[last]


def confident_denials(probabilities: "Array", codes: "Array") -> "tuple[Array, Array]":
    """Return which labels a model denies with confidence, and how likely each was to be denied.

    A label is denied if the likeliest class among those that are at least as likely as they are on average
    where they are the label is another one. Where the features tell little, honest labels are denied too:
    as often as the probabilities themselves say.

    Source: Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels",
    Journal of Artificial Intelligence Research 70 (2021), section 3.1.

    Returns:
        A mask of the denied labels, and the probability of each row's label to be denied, shape (n,) each.
    """
    import numpy as np

    n, k = probabilities.shape
    usual = np.array(
        [probabilities[codes == c, c].mean() if (codes == c).any() else np.inf for c in range(k)]
    )
    confident = np.where(probabilities >= usual, probabilities, -1.0)
    guess = confident.argmax(axis=1)
    some = confident.max(axis=1) >= 0
    denied: Array = some & (guess != codes)
    expected: Array = np.where(some, 1 - probabilities[np.arange(n), guess], 0.0)
    return denied, expected
