"""A model's own past, read from its source and trained as its spec says, for a replay."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.data.features import FeatureView
from mlops_assets.data.sources import Window, read_window
from mlops_assets.errors import DataError
from mlops_assets.evaluation.metrics import encode_target
from mlops_assets.monitoring.retraining.history import History
from mlops_assets.monitoring.windows import Period, floor, windows_between
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.training import onnx_form
from mlops_assets.training.trainer import fit

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

_FEWEST_TICKS = 3


@dataclass(frozen=True, eq=False)
class SpecVersion:
    """A version that was trained for a replay.

    Attributes:
        estimator: The fitted estimator.
        seconds: Processor time of its training.
        features: The feature table of all rows.
        spec: The model's spec.
        classes: Class labels, sorted; empty for a regression.
    """

    estimator: Any
    seconds: float
    features: "pd.DataFrame"
    spec: ModelSpec
    classes: "Array"

    def predict(self, rows: "Array") -> "Array":
        """Return what it says of rows, given by their positions: shape (n,), or (n, classes)."""
        import numpy as np

        said = onnx_form.native(self.estimator, self.spec.task, self.features.iloc[rows])
        if said.ndim == 1:
            return said
        # A past may know fewer classes than the whole: what was never seen is held to be impossible.
        every = np.zeros((len(rows), len(self.classes)))
        every[:, np.searchsorted(self.classes, self.estimator.classes_)] = said
        return every[:, 1] if self.spec.task == "binary_classification" else every


class SpecTrainer:
    """Trains as a spec says, on the rows of its data window; see :class:`.history.Trainer`.

    Args:
        spec: The model's spec.
        folder: Folder to which its relative paths refer.
        features: The feature table of all rows.
        rows: The rows.
        classes: Class labels, sorted; empty for a regression.
    """

    def __init__(
        self, spec: ModelSpec, folder: Path, features: "pd.DataFrame", rows: "pd.DataFrame", classes: "Array"
    ) -> None:
        self._spec, self._folder, self._features, self._classes = spec, folder, features, classes
        self._target, self._times = rows[spec.data.target], rows[spec.data.time_column].to_numpy()

    def train(self, rows: "Array") -> SpecVersion:
        """Return a version that learned from the newest of these rows, as far back as the data window goes.

        Raises:
            TrainingError: It cannot be trained on them.
        """
        import numpy as np

        times = self._times[rows]
        some = rows[times > times.max() - np.timedelta64(self._spec.data.window)]
        began = time.process_time()
        estimator = fit(
            self._spec.training,
            self._spec.task,
            self._features.iloc[some],
            self._target.iloc[some],
            self._folder,
        )
        took = time.process_time() - began
        return SpecVersion(estimator, took, self._features, self._spec, self._classes)


def past_of(
    spec: ModelSpec, folder: Path, since: datetime, until: datetime, period: Period
) -> tuple[History, SpecTrainer]:
    """Return a model's past, and what trains it.

    Args:
        spec: The model's spec.
        folder: Folder to which its relative paths refer.
        since: When the first version of the replay is trained; rows are read from a data window before.
        until: When the past ends.
        period: How often it is decided.

    Raises:
        DataError: The source has too little.
    """
    import numpy as np

    windows = windows_between(floor(since, period), until, period)
    ticks = tuple(dict.fromkeys(edge for window in windows for edge in window))
    if len(ticks) < _FEWEST_TICKS:
        raise DataError(f"from {since:%Y-%m-%d} to {until:%Y-%m-%d} lie fewer than two whole {period}s")
    data = spec.data
    rows = read_window(data, Window(ticks[0] - data.window, until), folder)
    rows = rows[rows[data.target].notna()].reset_index(drop=True)
    times = rows[data.time_column].to_numpy().astype("datetime64[us]")
    known = times + np.timedelta64(data.label_delay)
    if not (known <= np.datetime64(ticks[0])).any():
        first = rows[data.time_column].iloc[0]
        raise DataError(
            f"no label was known by {ticks[0]:%Y-%m-%d}: the source begins on {first:%Y-%m-%d}; set --since"
        )
    classes = () if spec.task == "regression" else tuple(sorted(set(rows[data.target].tolist())))
    history = History(
        model=spec.name,
        metric=spec.evaluation.primary_metric,
        target=encode_target(rows[data.target], spec.task, classes),
        times=times,
        known_at=known,
        ticks=ticks,
        tolerance=spec.monitoring.tolerance,
        min_labels=spec.monitoring.min_labels,
    )
    features = FeatureView.from_spec(data).compute(rows)
    return history, SpecTrainer(spec, folder, features, rows, np.array(classes))


def default_period(spec: ModelSpec, span: timedelta) -> Period:
    """Return how often it is decided in a replay: as windows are, but not more often than every week."""
    if spec.monitoring.window == "month" or span > timedelta(days=300):
        return "month"
    return "week"
