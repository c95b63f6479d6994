"""What the metrics of a classifier will be, if the chance of each label is known.

Labels are thrown with the given chances, each by itself. A metric is then a random number. What is told of
it is its mean, and how much it rises with the label of a row: from that follow its spread, and how far an
error in the chances moves it. Mean losses and accuracy are sums over rows, and their figures are exact. The
others are fractions of sums; their mean is right up to a term that falls as one over the number of rows.

Source: Białek, Kivimäki, Kuberski and Perrakis, "Estimating Model Performance Under Covariate Shift Without
Labels" (arXiv:2401.08348, 2024), for metrics from expected counts; Kivimäki, Białek, Nurminen and Kuberski,
"Confidence-based Estimators for Predictive Performance in Model Monitoring" (arXiv:2407.08649, 2024), for
mean and variance of accuracy, whose errors are a Poisson binomial number; Hampel, "The Influence Curve and
its Role in Robust Estimation", Journal of the American Statistical Association 69 (1974), for the spread of
fractions.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.metrics import SMALLEST_PROBABILITY

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# With fewer expected, the area under the curve is a matter of single rows.
_FEWEST = 5


@dataclass(frozen=True, eq=False)
class Expected:
    """The mean of a metric, and what it hangs on.

    Attributes:
        value: The mean.
        sensitivity: How much the metric rises if one row's label does. Binary: from 0 to 1, shape (n,); more
            classes: to each class, shape (n, classes).
    """

    value: float
    sensitivity: "Array"


def expected_binary(values: "Array", counts: "Array", chances: "Array") -> dict[str, Expected]:
    """Return the expected metrics of a binary classifier.

    The area under the ROC curve is left out where of either class fewer than five rows are to be expected.

    Args:
        values: Different outputs in ascending order, shape (n,).
        counts: How many rows have each, shape (n,).
        chances: The probability that their label is 1, shape (n,).
    """
    import numpy as np

    rows = counts.sum()

    def mean(if_one: "Array", if_zero: "Array") -> Expected:
        value = counts @ (chances * if_one + (1 - chances) * if_zero) / rows
        return Expected(float(value), (if_one - if_zero) / rows)

    above = (values > 0.5).astype(float)
    found = {
        "brier": mean((1 - values) ** 2, values**2),
        "log_loss": mean(_log_loss(values), _log_loss(1 - values)),
        "accuracy": mean(above, 1 - above),
    }
    ones, zeros = counts * chances, counts * (1 - chances)
    if min(all_ones := ones.sum(), all_zeros := zeros.sum()) < _FEWEST:
        return found
    below = np.cumsum(zeros) - zeros / 2
    beyond = all_ones - np.cumsum(ones) + ones / 2
    # A row is not compared with itself.
    itself = ones @ (1 - chances)
    area = (ones @ below - itself / 2) / (all_ones * all_zeros - itself)
    sensitivity = (below - beyond - area * (all_zeros - all_ones)) / (all_ones * all_zeros)
    return {**found, "roc_auc": Expected(float(area), sensitivity)}


def expected_multiclass(outputs: "Array", counts: "Array", chances: "Array") -> dict[str, Expected]:
    """Return the expected metrics of a classifier of several classes.

    Args:
        outputs: Served probabilities, shape (n, classes).
        counts: How many rows have each, shape (n,).
        chances: The probability of each label, shape (n, classes).
    """
    import numpy as np

    rows = counts.sum()
    decided = np.eye(outputs.shape[1])[outputs.argmax(axis=1)]

    def mean(of_class: "Array") -> Expected:
        return Expected(float(counts @ (chances * of_class).sum(axis=1) / rows), of_class / rows)

    total, found = counts @ chances, counts @ (chances * decided)
    recall = found / np.maximum(total, SMALLEST_PROBABILITY)
    with np.errstate(divide="ignore"):
        occurs = -np.expm1(counts @ np.log1p(-np.minimum(chances, 1)))
    share = occurs / occurs.sum()
    # A class counts only if it occurs, so there is at least one row of it.
    sensitivity = share * (decided - recall) / np.maximum(total, 1)
    return {
        "accuracy": mean(decided),
        "log_loss": mean(_log_loss(outputs)),
        "macro_recall": Expected(float(share @ recall), sensitivity),
    }


def label_variance(expected: Expected, counts: "Array", chances: "Array") -> float:
    """Return the variance that a metric has because labels are thrown.

    Args:
        expected: What is expected of the metric.
        counts: How many rows each place stands for, shape (n,).
        chances: As for the expectation, shape (n,) or (n, classes).
    """
    slope = expected.sensitivity
    if slope.ndim == 1:
        return float(counts @ (chances * (1 - chances) * slope**2))
    mean = (chances * slope).sum(axis=1)
    return float(counts @ ((chances * slope**2).sum(axis=1) - mean**2))


def _log_loss(of_target: "Array") -> "Array":
    import numpy as np

    return np.asarray(-np.log(np.clip(of_target, SMALLEST_PROBABILITY, 1)))
