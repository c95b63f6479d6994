"""Predictions as decisions, so that one can say when a decision was turned."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.specs.tasks import Task

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# A regression decides nothing by itself. What moves its prediction by twice as much as predictions differ
# among each other makes an ordinary row an extraordinary one.
_TURNED_BY = 2.0


@dataclass(frozen=True, eq=False)
class Decisions:
    """What a model decides on some rows, and how far each decision is from being turned.

    Attributes:
        task: What is predicted.
        predicted: The predictions, shape (n,) or (n, classes).
        cut: The probability above which a binary decision is positive; not used elsewhere.
    """

    task: Task
    predicted: "Array"
    cut: float = 0.5

    @classmethod
    def of(cls, task: Task, predicted: "Array", target: "Array") -> "Decisions":
        """Return the decisions that predictions stand for.

        A binary classification is cut where it decides positively as often as targets are positive: a
        spec names no threshold, and of a rare event no probability reaches one half.
        """
        if task != "binary_classification":
            return cls(task, predicted)
        return cls(task, predicted, _cut(predicted, float(target.mean())))

    def margins(self, predicted: "Array", rows: "Array") -> "Array":
        """Return how far from being turned the decisions on ``rows`` are if the model now predicts this.

        Negative where the decision is turned: to the other side of the cut, to another class, or for a
        regression by more than two standard deviations of its predictions.

        Args:
            predicted: New predictions for those rows.
            rows: Positions of the rows.
        """
        import numpy as np

        before = self.predicted[rows]
        if self.task == "binary_classification":
            return np.where(before > self.cut, predicted - self.cut, self.cut - predicted)
        if self.task == "regression":
            turned: Array = _TURNED_BY * self.predicted.std() - np.abs(predicted - before)
            return turned
        decided, others = before.argmax(axis=1), predicted.copy()
        own = np.arange(len(rows))
        others[own, decided] = -np.inf
        margin: Array = predicted[own, decided] - others.max(axis=1)
        return margin


def _cut(predicted: "Array", rate: float) -> float:
    """Return the cut between two predictions above which a share nearest to ``rate`` lies."""
    import numpy as np

    values, counts = np.unique(predicted, return_counts=True)
    if len(values) < 2:
        return 0.5
    above = 1 - np.cumsum(counts)[:-1] / len(predicted)
    place = int(np.argmin(np.abs(above - rate)))
    return float((values[place] + values[place + 1]) / 2)
