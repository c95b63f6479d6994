"""Real series as the past of models that are trained again and again, for benchmarks of retraining.

The models are small: gradient boosting with 60 trees of 8 leaves, trained on all rows whose label was known
by then. A version scores all later rows at once, and is trained once however many policies ask for it.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from series.shape import Series

from mlops_assets.monitoring.retraining.history import History

Array = np.ndarray[Any, Any]
METRICS = {"binary_classification": "roc_auc", "multiclass_classification": "log_loss", "regression": "rmse"}
_BINS = 10
_JUMP, _DEVIATIONS, _FEWEST_WINDOWS = 0.25, 6.0, 3


@dataclass(frozen=True, eq=False)
class Scored:
    """A version that was trained on the first rows, and what it says of all later ones."""

    rows: int
    seconds: float
    later: Array

    def predict(self, rows: Array) -> Array:
        """Return what it says of rows, given by their positions."""
        return np.asarray(self.later[rows - self.rows], dtype="float64")


class SeriesTrainer:
    """Trains on the first rows of a series."""

    def __init__(self, one: Series) -> None:
        self._task, self._inputs = one.task, one.inputs.to_numpy()
        self._target, self._classes = encoded(one)
        self.trained: dict[int, Scored] = {}

    def train(self, rows: Array) -> Scored:
        """Return the version that learned from these rows."""
        count = len(rows)
        if count not in self.trained:
            assert rows[-1] == count - 1, "labels of a series are known in order of time"
            self.trained[count] = self._train(count)
        return self.trained[count]

    def _train(self, count: int) -> Scored:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        is_regression = self._task == "regression"
        made = HistGradientBoostingRegressor if is_regression else HistGradientBoostingClassifier
        model = made(max_iter=60, max_leaf_nodes=8, early_stopping=False, random_state=0)
        started = time.process_time()
        model.fit(self._inputs[:count], self._target[:count])
        seconds = time.process_time() - started
        later = self._inputs[count:]
        if is_regression:
            return Scored(count, seconds, model.predict(later).astype("float32"))
        # A class that it has not met it never expects.
        every = np.zeros((len(later), self._classes), dtype="float32")
        every[:, model.classes_.astype(int)] = model.predict_proba(later)
        return Scored(count, seconds, every[:, 1] if self._task == "binary_classification" else every)


def past_of(one: Series, *, label_delay: timedelta | None = None) -> History | None:
    """Return a series as the past of a model; None if labels come too late to learn from any of them.

    Args:
        one: The series.
        label_delay: How long labels take; as the series says if not given.
    """
    found = one.windows()
    times = one.frame[one.time_column].to_numpy().astype("datetime64[us]")
    known_at = times + np.timedelta64(one.label_delay if label_delay is None else label_delay)
    ticks: list[datetime] = []
    for _, rows in found:
        day = (
            rows[one.time_column].iloc[-1].to_pydatetime().replace(hour=0, minute=0, second=0, microsecond=0)
        )
        ticks.append(day + timedelta(days=1))
    fewest = int(found[0][1].index[-1]) + 1
    known = [int((known_at <= np.datetime64(tick)).sum()) for tick in ticks]
    first = next((i for i in range(one.train_windows - 1, len(ticks) - 2) if known[i] >= fewest), None)
    if first is None:
        return None
    target = encoded(one)[0]
    incidents = label_jumps(target, known, first) if one.task == "binary_classification" else {}
    return History(one.name, METRICS[one.task], target, times, known_at, tuple(ticks[first:]), incidents)


def label_jumps(target: Array, known: list[int], first: int) -> dict[int, str]:
    """Return the ticks at which the newest labels are ones at a rate far from all rates before.

    Far is a quarter of all labels, and six standard deviations of the rates.
    """
    found: dict[int, str] = {}
    rates: list[float] = []
    for tick, (before, now) in enumerate(zip([0, *known[:-1]], known, strict=True)):
        if now == before:
            continue
        rate = float(target[before:now].mean())
        if len(rates) >= _FEWEST_WINDOWS:
            off, spread = abs(rate - np.mean(rates)), np.std(rates, ddof=1)
            if off > max(_JUMP, _DEVIATIONS * spread):
                found[tick - first] = (
                    f"labels that are ones at a rate of {rate:.2f}, {np.mean(rates):.2f} before"
                )
                continue
        rates.append(rate)
    return found


def encoded(one: Series) -> tuple[Array, int]:
    """Return targets as numbers, and how many classes there are."""
    target = one.frame[one.target]
    if one.task == "multiclass_classification":
        codes = target.astype("category").cat.codes
        return codes.to_numpy(dtype="float64"), int(codes.max()) + 1
    return target.to_numpy(dtype="float64"), 2


def largest_psi(reference: Array, current: Array) -> float:
    """Return the largest population stability index of a feature, in ten bins of equal shares."""
    found = 0.0
    for then, now in zip(reference.T, current.T, strict=True):
        then, now = then[~np.isnan(then)], now[~np.isnan(now)]
        if len(then) == 0 or len(now) == 0:
            continue
        cuts = np.unique(np.quantile(then, np.linspace(0, 1, _BINS + 1)[1:-1]))
        before, after = _shares(then, cuts), _shares(now, cuts)
        found = max(found, float(((after - before) * np.log(after / before)).sum()))
    return found


def _shares(values: Array, cuts: Array) -> Array:
    counts = np.bincount(np.searchsorted(cuts, values, side="right"), minlength=len(cuts) + 1)
    return np.maximum(counts / len(values), 1e-4)
