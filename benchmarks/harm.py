"""What is measured of a window: whether intervals hold, alarms on labels are false, and how soon they come.

    pip install river                                                 (for the peers; left out without it)
    pip install --no-deps --target .benchmark-data --group benchmarks (for the real series; likewise)
    python benchmarks/harm.py [STREAMS]

Four tables:

1. CPU of a window of 10,000 labelled rows: all metrics with 95 % intervals, ours and the bootstrap's, and
   what else is asked of a window.
2. Coverage of those intervals: simulated rows that have their day in common, and real flights, days of a
   year drawn at random.
3. False alarms a model-quarter of the tests for concept drift on daily losses, at a budget of .25, and the
   median delay in days for planted rises of 1, 2 and 5 standard deviations of a day's mean (60 stable days
   before). Streams: independent days; days that resemble the one before (autocorrelation .3 and .6); skewed
   ones; real flights with their days, or whole weeks, in another order. Peers: river's ADWIN and Page-Hinkley
   with their defaults, fed row by row, as in its examples, or with the mean of each day. A stream ends with
   its first alarm.
4. COMPAS, where labels go wrong in April 2014, and every other series: of how many it is said that labels
   have a fault.
"""

import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np

from mlops_assets.evaluation.group_rates import decisions_of
from mlops_assets.evaluation.groups import Grouping
from mlops_assets.evaluation.intervals import intervals
from mlops_assets.evaluation.metrics import measure, metrics_of
from mlops_assets.monitoring.performance.blocks import Blocks, blocks_of
from mlops_assets.monitoring.performance.change_detection import HOURS_A_QUARTER, rise, stable_level
from mlops_assets.monitoring.performance.concept_drift import concept_drift
from mlops_assets.monitoring.performance.group_gaps import measure_gaps
from mlops_assets.monitoring.performance.label_jump import label_jump
from mlops_assets.monitoring.performance.labelled_blocks import labelled_blocks
from mlops_assets.monitoring.performance.measured import measure_metrics
from mlops_assets.rollout.yardsticks import loss_scale
from mlops_assets.specs.policy_file import load_policy
from mlops_assets.specs.tasks import METRICS

Array = np.ndarray[Any, Any]

_STREAMS = 200
_BUDGET = 0.25
_STABLE, _DAYS = 60, 183
_ROWS = 150
_SPREAD, _WITHIN = 0.02, 0.15
_DEVIATION = float(np.hypot(_SPREAD, _WITHIN / np.sqrt(_ROWS)))
_QUARTER = HOURS_A_QUARTER / 24
_RISES = (1.0, 2.0, 5.0)


def main() -> None:
    warnings.filterwarnings("ignore")
    streams = int(sys.argv[1]) if len(sys.argv) > 1 else _STREAMS
    flights = real_flights()
    cpu()
    coverage(flights)
    alarms(flights, streams)
    label_faults()


# 1 ----------------------------------------------------------------------------------------------------


def cpu() -> None:
    print("1. CPU milliseconds of a window of 10,000 labelled rows")
    generator = np.random.default_rng(0)
    times = np.datetime64("2024-03-01", "us") + np.sort(generator.integers(0, 86_400, 10_000)).astype("m8[s]")
    for task in METRICS:
        target, predicted = drawn(task, generator, 100, 100)
        names, member = metrics_of(task), blocks_of(times).member
        given = names, target, predicted
        ours = milliseconds(lambda given=given: measure_metrics(*given, blocks_of(times)), 20)
        drawing = milliseconds(lambda given=given, member=member: intervals(*given, member), 2)
        print(f"   {task:28} ours {ours:7.2f}   bootstrap, 500 resamples {drawing:7.1f}")
    target, predicted = drawn("binary_classification", generator, 100, 100)
    seconds = np.sort(generator.integers(0, 365 * 86_400, 10_000))
    year = np.datetime64("2023-03-01", "us") + seconds.astype("m8[s]")
    blocks = labelled_blocks("binary_classification", predicted, target, year)
    stable, since = blocks.select(slice(0, 60)), blocks.select(slice(60, None))
    groups = Grouping("group", tuple("abcd"), generator.integers(0, 4, 10_000))
    decided = decisions_of(
        "binary_classification", predicted, target, threshold=0.5, classes=(0, 1), spread=1.0
    )
    rules = load_policy().tiers["high"].gates.fairness
    for name, call in (
        (
            "blocks of the window",
            lambda: labelled_blocks("binary_classification", predicted, target, times),
        ),
        ("concept drift over a year of days", lambda: concept_drift(stable, since, budget=_BUDGET)),
        ("jump of labels over a year of days", lambda: label_jump(stable, since, budget=_BUDGET)),
        ("fairness of four groups", lambda: measure_gaps([groups], decided, blocks_of(times), rules)),
    ):
        print(f"   {name:38} {milliseconds(call, 10):7.2f}")


def milliseconds(call: Callable[[], object], rounds: int) -> float:
    call()
    started = time.process_time()
    for _ in range(rounds):
        call()
    return (time.process_time() - started) / rounds * 1000


# 2 ----------------------------------------------------------------------------------------------------


def drawn(task: str, generator: np.random.Generator, days: int, rows: int) -> tuple[Array, Array]:
    """Return targets and predictions; errors of a day have much in common."""
    day = np.repeat(np.arange(days), rows)
    signal, weather = generator.normal(size=len(day)), generator.normal(size=days)[day] / 2
    if task == "regression":
        return signal + weather + generator.normal(size=len(day)), signal
    if task == "multiclass_classification":
        logits = np.column_stack([signal, -signal, generator.normal(size=len(day)) / 2])
        said, true = (np.exp(each) for each in (logits, logits + np.outer(weather, [1, 0, -1])))
        said, true = (each / each.sum(axis=1, keepdims=True) for each in (said, true))
        label = (generator.random(len(day))[:, None] > true.cumsum(axis=1)).sum(axis=1).clip(0, 2)
        return label.astype(float), said
    score = 1.2 * signal - 1
    chance = 1 / (1 + np.exp(-score - weather))
    return (generator.random(len(day)) < chance).astype(float), 1 / (1 + np.exp(-score))


def coverage(flights: "Flights", repeats: int = 1000) -> None:
    print("\n2. share of 95 % intervals that hold the truth (in brackets: the bootstrap's)")
    for task in METRICS:
        names = metrics_of(task)
        target, predicted = drawn(task, np.random.default_rng(1), 20_000, 50)
        truth = {name: measure(name, target, predicted) for name in names}
        for days, rows in ((5, 60), (7, 60), (14, 40), (30, 30)):
            generator = np.random.default_rng(2)
            blocks = Blocks(np.repeat(np.arange(days), rows), days, "", True)
            drawing = partial(drawn, task, generator, days, rows)
            held = shares(names, truth, repeats, lambda drawing=drawing, blocks=blocks: (*drawing(), blocks))
            print(f"   {task:28} {days:3} days of {rows:3} rows  {held}")
    names = metrics_of("binary_classification")
    truth = {name: measure(name, flights.target, flights.outputs) for name in names}
    generator = np.random.default_rng(3)
    for days in (7, 14, 30):

        def sample(days: int = days) -> tuple[Array, Array, Blocks]:
            chosen = [flights.days[i][::4] for i in generator.integers(0, len(flights.days), days)]
            rows = np.concatenate(chosen)
            member = np.repeat(np.arange(days), [len(each) for each in chosen])
            return flights.target[rows], flights.outputs[rows], Blocks(member, days, "", True)

        print(
            f"   {'real flights':28} {days:3} days of a year    {shares(names, truth, repeats // 4, sample)}"
        )


def shares(
    names: tuple[str, ...],
    truth: dict[str, float],
    repeats: int,
    sample: Callable[[], tuple[Array, Array, Blocks]],
) -> str:
    ours, theirs = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    few = max(repeats // 10, 1)
    for number in range(repeats):
        target, predicted, blocks = sample()
        for name, found in measure_metrics(names, target, predicted, blocks).items():
            ours[name] += found.low <= truth[name] <= found.high
        if number < few:
            for name, drawn_one in intervals(names, target, predicted, blocks.member, resamples=200).items():
                theirs[name] += drawn_one.low <= truth[name] <= drawn_one.high
    return "  ".join(f"{name} {ours[name] / repeats:.3f} ({theirs[name] / few:.2f})" for name in names)


# 3 ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stream:
    """Losses of rows, day by day; no day before the first that is watched differs from those after it."""

    losses: list[Array]

    def raised(self, by: float) -> "Stream":
        """Return the same with higher losses from the first day that is watched."""
        return Stream([each + by * (day >= _STABLE) for day, each in enumerate(self.losses)])


Rule = Callable[[Stream], int | None]


def ours(stream: Stream) -> int | None:
    rows = np.array([float(len(each)) for each in stream.losses])
    means = np.array([each.mean() for each in stream.losses])
    within = float(np.mean([each.var(ddof=1) for each in stream.losses[:_STABLE]]))
    level = stable_level(means[:_STABLE], rows[:_STABLE], within)
    hours = np.full(len(means) - _STABLE, 24.0)
    return rise(
        level,
        means[_STABLE:],
        rows[_STABLE:],
        hours=hours,
        budget=_BUDGET,
        stable_rows=float(rows[:_STABLE].mean()),
    ).alarm


def peers() -> dict[str, Rule]:
    try:
        from river.drift import ADWIN, PageHinkley
    except ImportError:
        return {}

    def fed(make: Callable[[], Any], by_day: bool) -> Rule:
        def rule(stream: Stream) -> int | None:
            detector = make()
            for day, losses in enumerate(stream.losses):
                for loss in [losses.mean()] if by_day else losses.tolist():
                    detector.update(loss)
                    if detector.drift_detected and day >= _STABLE:
                        return day - _STABLE
            return None

        return rule

    return {
        f"{name}, {told}": fed(make, by_day)
        for name, make in (("ADWIN", ADWIN), ("Page-Hinkley", lambda: PageHinkley(mode="up")))
        for told, by_day in (("rows", False), ("days", True))
    }


def simulated(correlation: float, skewed: bool) -> Callable[[np.random.Generator], Stream]:
    def draw(generator: np.random.Generator) -> Stream:
        count = _STABLE + _DAYS
        shocks = generator.normal(size=count)
        weather = shocks.copy()
        for day in range(1, count):
            weather[day] = correlation * weather[day - 1] + np.sqrt(1 - correlation**2) * shocks[day]
        if skewed:
            weather = (np.exp(0.7 * weather) - np.exp(0.245)) / 1.02
        return Stream([0.2 + _SPREAD * each + _WITHIN * generator.normal(size=_ROWS) for each in weather])

    return draw


def reordered(flights: "Flights", length: int) -> Callable[[np.random.Generator], Stream]:
    """Return real days of a year's losses, in stretches of so many days in another order."""
    losses = [(flights.outputs[rows] - flights.target[rows])[::6] ** 2 for rows in flights.days]

    def draw(generator: np.random.Generator) -> Stream:
        stretches = [losses[i : i + length] for i in range(0, len(losses), length)]
        return Stream([day for i in generator.permutation(len(stretches)) for day in stretches[i]])

    return draw


def alarms(flights: "Flights", streams: int) -> None:
    print(
        f"\n3. false alarms a model-quarter (budget {_BUDGET}); median days to a rise of 1, 2, 5 deviations"
    )
    rules: dict[str, Rule] = {"ours": ours, **peers()}
    for name, draw in {
        "independent days": simulated(0.0, False),
        "autocorrelated, .3": simulated(0.3, False),
        "autocorrelated, .6": simulated(0.6, False),
        "skewed": simulated(0.0, True),
        "skewed, .6": simulated(0.6, True),
        "real flights, days": reordered(flights, 1),
        "real flights, weeks": reordered(flights, 7),
    }.items():
        generator = np.random.default_rng(4)
        drawn_streams = [draw(generator) for _ in range(streams)]
        deviation = float(np.mean([np.std([d.mean() for d in each.losses]) for each in drawn_streams[:20]]))
        for told, rule in rules.items():
            some = drawn_streams if told == "ours" else drawn_streams[: max(streams // 4, 1)]
            rate, error = false_alarms(rule, some)
            delays = [delay(rule, some[: max(streams // 4, 1)], by * deviation) for by in _RISES]
            print(f"   {name:20} {told:20} {rate:6.2f} ± {error:.2f}   {'  '.join(delays)}")


def false_alarms(rule: Rule, streams: list[Stream]) -> tuple[float, float]:
    """Return false alarms a quarter until the first one, and the standard error of that."""
    found = [(alarm, len(each.losses) - _STABLE) for each in streams for alarm in [rule(each)]]
    quarters = sum(days if alarm is None else alarm + 1 for alarm, days in found) / _QUARTER
    count = sum(alarm is not None for alarm, _ in found)
    return count / quarters, max(count, 1) ** 0.5 / quarters


def delay(rule: Rule, streams: list[Stream], by: float) -> str:
    days = [rule(each.raised(by)) for each in streams]
    middle = float(np.median([np.inf if day is None else day + 1 for day in days]))
    return f"{middle:5.0f}" if np.isfinite(middle) else "never"


# 4 ----------------------------------------------------------------------------------------------------


def label_faults() -> None:
    print("\n4. faults of labels")
    try:
        from real_series import NotInstalled, series
    except ImportError:
        return
    found, quarters, every = [], 0.0, 0
    try:
        for one in series():
            stable, since, names = answered(one)
            jump = label_jump(stable, since, budget=_BUDGET, names=names, values=one.task == "regression")
            every += 1
            quarters += float(since.hours.sum()) / HOURS_A_QUARTER
            if jump is not None:
                found.append(f"   {one.name}: {jump.reason}")
                drift = concept_drift(stable, since, budget=_BUDGET, names=names, jump=jump)
                whole = concept_drift(stable, since, budget=_BUDGET, names=names)
                said = len(drift.drifts), len(whole.drifts)
                found.append(
                    f"      figures that drift in the days before: {said[0]}; with all days: {said[1]}"
                )
    except NotInstalled as problem:
        print(f"   {problem}")
    print("\n".join(found))
    print(f"   of {every} series over {quarters:,.0f} quarters with labels")


def answered(one: Any) -> tuple[Any, Any, tuple[str, ...]]:
    """Train on two thirds of the first windows; return the blocks of the last third, and of what follows."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    windows = [rows.index.to_numpy() for _, rows in one.windows()]
    known, later = (
        np.concatenate(part) for part in (windows[: one.train_windows], windows[one.train_windows :])
    )
    cut = int(len(known) * 0.67)
    made = HistGradientBoostingRegressor if one.task == "regression" else HistGradientBoostingClassifier
    model = made(max_leaf_nodes=8, early_stopping=False, max_iter=60, random_state=0)
    model.fit(one.inputs.loc[known[:cut]], one.frame.loc[known[:cut], one.target])
    target, names = one.frame[one.target], ("",)
    if one.task == "multiclass_classification":
        names = tuple(map(str, model.classes_))
        target = target.map({label: code for code, label in enumerate(model.classes_)})
    target = target.to_numpy(dtype=float)
    times = one.frame[one.time_column].to_numpy()

    def outputs(rows: Array) -> Array:
        if one.task == "regression":
            return np.asarray(model.predict(one.inputs.loc[rows]))
        said = model.predict_proba(one.inputs.loc[rows])
        return said[:, 1] if said.shape[1] == 2 else said

    holdout = known[cut:]
    holdout, later = (rows[~np.isnan(target[rows])] for rows in (holdout, later))
    scale = loss_scale(one.task, target[holdout], outputs(holdout)) or 1.0
    stable, since = (
        labelled_blocks(one.task, outputs(rows), target[rows], times[rows], scale=scale)
        for rows in (holdout, later)
    )
    return stable, since, names


@dataclass(frozen=True)
class Flights:
    """What a model of January and February said of the flights from March on, and which rows a day has."""

    outputs: Array
    target: Array
    days: list[Array]


def real_flights() -> Flights:
    from sklearn.ensemble import HistGradientBoostingClassifier

    from mlops_assets.defs.flight_delay.source import load

    rows = load(datetime(2013, 1, 1), datetime(2014, 1, 1)).reset_index(drop=True)
    at = rows["scheduled_at"]
    inputs = rows[["distance", "humid", "wind_speed", "precip", "visib"]].assign(
        hour=at.dt.hour, carrier=rows["carrier"].astype("category").cat.codes
    )
    old = (at < datetime(2013, 3, 1)).to_numpy()
    model = HistGradientBoostingClassifier(max_iter=50, random_state=0).fit(
        inputs[old], rows.loc[old, "late"]
    )
    outputs = model.predict_proba(inputs[~old])[:, 1]
    day = at[~old].dt.dayofyear.to_numpy()
    order = np.argsort(day, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(day[order])) + 1)
    return Flights(outputs, rows.loc[~old, "late"].to_numpy(dtype=float), parts)


if __name__ == "__main__":
    main()
