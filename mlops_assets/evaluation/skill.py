"""A model's skill, and how much of it worse predictions lose."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.intervals import PairedDifference, paired_difference
from mlops_assets.evaluation.metrics import higher_is_better, measure
from mlops_assets.specs.tasks import Metric

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_RESAMPLES = 200


@dataclass(frozen=True, eq=False)
class Skill:
    """How much better a model's predictions are than a constant guess.

    Losses are told relative to it: 0 is none, 1 all that the model knows. A model without skill has none to
    lose, so its losses are 0.

    Attributes:
        metric: Name of the metric.
        target: Encoded targets, shape (n,).
        predicted: The model's undisturbed predictions, shape (n,) or (n, classes).
        blocks: Block of each row, see :mod:`mlops_assets.evaluation.intervals`.
        confidence: Two-sided coverage of all bounds that are told together.
    """

    metric: Metric
    target: "Array"
    predicted: "Array"
    blocks: "Array"
    confidence: float

    @cached_property
    def gain(self) -> PairedDifference:
        """How much better the metric is than that of the best constant guess."""
        return self._difference(self._constant_guess(), self.confidence)

    def lost(self, predicted: "Array") -> float:
        """Return the share of the skill that other predictions lose; NaN where the metric is not defined.

        Args:
            predicted: Predictions for the rows, or for the rows several times over.
        """
        target, own, _ = self._repeated(len(predicted))
        sign = 1 if higher_is_better(self.metric) else -1
        loss = sign * (measure(self.metric, target, own) - measure(self.metric, target, predicted))
        # The comparison is put so that a skill that is not a number is passed on.
        return 0.0 if self.gain.gain <= 0 else loss / self.gain.gain

    def surely_lost(self, predicted: "Array", comparisons: int = 1) -> float:
        """Return the lower bound of :meth:`lost`: that of the loss, over the upper bound of the skill.

        Args:
            predicted: Predictions for the rows, or for the rows several times over.
            comparisons: How many losses are told together, for all of which the bounds then hold.
        """
        if self.gain.gain <= 0:
            return 0.0
        alone = 1 - (1 - self.confidence) / comparisons
        return self._difference(predicted, alone).low / self.gain.high

    def _difference(self, predicted: "Array", confidence: float) -> PairedDifference:
        target, own, blocks = self._repeated(len(predicted))
        return paired_difference(
            self.metric, target, own, predicted, blocks, confidence=confidence, resamples=_RESAMPLES
        )

    def _repeated(self, rows: int) -> "tuple[Array, Array, Array]":
        """Return targets, predictions and blocks as often as it takes for so many rows."""
        import numpy as np

        times = rows // len(self.target)
        return (
            np.concatenate([self.target] * times),
            np.concatenate([self.predicted] * times),
            np.concatenate([self.blocks] * times),
        )

    def _constant_guess(self) -> "Array":
        import numpy as np

        if self.predicted.ndim == 2:
            rates = np.bincount(self.target.astype(int), minlength=self.predicted.shape[1])
            return np.tile(rates / len(self.target), (len(self.target), 1))
        middle = np.median if self.metric == "mae" else np.mean
        return np.full(len(self.target), middle(self.target))
