"""A candidate beside its hold-out: what every gate on its quality looks at."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.intervals import time_blocks
from mlops_assets.evaluation.metrics import encode_target
from mlops_assets.evaluation.prediction_times import PredictionTimes, time_predictions
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.training.package import PackagedModel

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Holdout:
    """A packaged candidate and the rows, newer than all it learnt from, that it is judged by.

    Attributes:
        spec: The model's spec.
        package: The candidate.
        rows: Raw hold-out rows in their declared types, with time column and target.
    """

    spec: ModelSpec
    package: PackagedModel
    rows: "pd.DataFrame"

    @cached_property
    def predicted(self) -> "np.ndarray[Any, Any]":
        """Predictions as served: shape (n,), or (n, classes) for more than two classes."""
        return self.package.predict(self.rows)

    @cached_property
    def target(self) -> "np.ndarray[Any, Any]":
        """Targets as numbers: class codes, or values for a regression; shape (n,)."""
        classes = self.package.manifest.classes
        return encode_target(self.rows[self.spec.data.target], self.spec.task, classes)

    @cached_property
    def blocks(self) -> "np.ndarray[Any, Any]":
        """The block, such as the day, of each row; see :mod:`mlops_assets.evaluation.intervals`."""
        return time_blocks(self.rows[self.spec.data.time_column])

    @cached_property
    def prediction_times(self) -> PredictionTimes:
        """What single predictions take here."""
        return time_predictions(self.package, self.rows)

    @cached_property
    def features(self) -> "pd.DataFrame":
        """Feature rows as the model sees them."""
        return self.package.view.compute(self.rows, self.package.manifest.feature_types)
