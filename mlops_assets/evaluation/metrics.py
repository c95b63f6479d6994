"""Metrics as functions of targets, predictions and row weights.

The weights make one implementation serve both the plain figure (all ones) and a bootstrap resample
(how often each row was drawn), which is a thousand times cheaper than drawing the rows.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DataError
from mlops_assets.specs.tasks import HIGHER_IS_BETTER, METRICS, Task

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Weighted = Callable[[Array], float]

SMALLEST_PROBABILITY = 2.0**-52  # scikit-learn's bound on how wrong a probability may be held to be


def higher_is_better(metric: str) -> bool:
    """Return whether a larger value of ``metric`` is a better one."""
    return metric in HIGHER_IS_BETTER


def metrics_of(task: Task) -> tuple[str, ...]:
    """Return the names of the metrics of a task."""
    return METRICS[task]


def prepare(metric: str, target: "Array", predicted: "Array") -> "Weighted":
    """Return a function that gives ``metric`` for any row weights.

    What does not depend on the weights (ranks, per-row losses) is computed once, here.

    Args:
        metric: One of :data:`mlops_assets.specs.tasks.METRICS`.
        target: Shape (n,): 0/1 for a binary, class codes for a multiclass task, else values.
        predicted: Shape (n,), or (n, classes) for a multiclass task.

    Returns:
        A function of weights, shape (n,), that returns NaN where the metric is not defined: where a
        prediction is not a number, or there is nothing to tell apart.
    """
    import numpy as np

    if np.isnan(predicted).any():
        return lambda weights: float("nan")
    match metric:
        case "roc_auc":
            return _roc_auc(target, predicted)
        case "macro_recall":
            return _macro_recall(target, predicted.argmax(axis=1))
        case "rmse":
            mean_square = _mean(row_losses("mse", target, predicted))
            return lambda weights: float(np.sqrt(mean_square(weights)))
        case "r2":
            return _r2(target, predicted)
    return _mean(row_losses(metric, target, predicted))


def row_losses(metric: str, target: "Array", predicted: "Array") -> "Array":
    """Return what a metric that is a mean over rows is the mean of; shape (n,).

    Args:
        metric: ``brier``, ``log_loss``, ``accuracy`` (1 where the guess is right), ``mae`` or ``mse``.
        target: As for :func:`prepare`.
        predicted: Likewise.
    """
    import numpy as np

    match metric:
        case "brier" | "mse":
            return np.asarray((predicted - target) ** 2)
        case "log_loss":
            if predicted.ndim == 1:
                of_target = np.where(target == 1, predicted, 1 - predicted)
            else:
                of_target = predicted[np.arange(len(target)), target.astype(int)]
            return np.asarray(-np.log(np.clip(of_target, SMALLEST_PROBABILITY, 1)))
        case "accuracy":
            # Of two equally likely classes the first, as scikit-learn's predict does.
            guess = predicted > 0.5 if predicted.ndim == 1 else predicted.argmax(axis=1)
            return np.asarray((guess == target).astype(float))
        case "mae":
            return np.asarray(np.abs(predicted - target))
    raise ValueError(f"unknown metric {metric!r}")


def measure(metric: str, target: "Array", predicted: "Array") -> float:
    """Return ``metric`` over all rows, each counted once."""
    import numpy as np

    return prepare(metric, target, predicted)(np.ones(len(target)))


def encode_target(values: Any, task: Task, classes: tuple[Any, ...]) -> "Array":
    """Return targets as numbers: class codes for a classification, float64 for a regression.

    Raises:
        DataError: A value is not among the classes, or is no number where a number is predicted.
    """
    import numpy as np

    code = {c: i for i, c in enumerate(classes)}
    try:
        if task == "regression":
            return np.asarray(values, dtype="float64")
        return np.asarray([code[v] for v in values], dtype="float64")
    except KeyError as error:
        raise DataError(f"the target holds {error.args[0]!r}, which the model was not trained on") from error
    except (TypeError, ValueError) as error:
        raise DataError(f"the target is not made of numbers: {error}") from error


def _mean(losses: "Array") -> "Weighted":
    return lambda weights: float(losses @ weights / weights.sum())


def _roc_auc(target: "Array", predicted: "Array") -> "Weighted":
    """Weighted area under the ROC curve by the Mann-Whitney statistic, ties counted half."""
    import numpy as np

    order = np.argsort(predicted, kind="stable")
    positive = target[order] == 1
    ordered = predicted[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])

    def weighted(weights: "Array") -> float:
        w = weights[order]
        pos = np.add.reduceat(w * positive, starts)
        neg = np.add.reduceat(w * ~positive, starts)
        below = np.cumsum(neg) - neg
        pairs = pos.sum() * neg.sum()
        return float((pos * (below + neg / 2)).sum() / pairs) if pairs > 0 else float("nan")

    return weighted


def _macro_recall(target: "Array", guess: "Array") -> "Weighted":
    """Mean recall of the classes that occur: scikit-learn's balanced accuracy."""
    import numpy as np

    codes = target.astype(int)
    hit = (guess == codes).astype(float)

    def weighted(weights: "Array") -> float:
        total = np.bincount(codes, weights)
        hits = np.bincount(codes, weights * hit)
        return float((hits[total > 0] / total[total > 0]).mean())

    return weighted


def _r2(target: "Array", predicted: "Array") -> "Weighted":
    def weighted(weights: "Array") -> float:
        mean = target @ weights / weights.sum()
        spread = ((target - mean) ** 2) @ weights
        missed = ((target - predicted) ** 2) @ weights
        return float(1 - missed / spread) if spread > 0 else float("nan")

    return weighted
