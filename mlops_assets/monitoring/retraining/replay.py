"""The past, walked through under another policy: what it would have decided, and how that turned out.

At each tick only the labels that were known by then are looked at, by whoever decides, trains and compares.
How a decision turned out is added when the walk is over.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mlops_assets.evaluation.quality import share_of_error
from mlops_assets.monitoring.retraining.decision import Decision, Rules, Situation, decide_on
from mlops_assets.monitoring.retraining.fleet_choice import choose
from mlops_assets.monitoring.retraining.gain import ExpectedGain, Fleet, Outcome, expect_gain, fleet_of
from mlops_assets.monitoring.retraining.history import Comparison, History, Trained, Trainer, loss_of

if TYPE_CHECKING:
    import numpy as np

    from mlops_assets.specs.gate_rules import ChampionComparisonRules

    Array = np.ndarray[Any, Any]

Fate = Literal["serves", "lost", "on trial", "reverted"]
_LAST_COSTS = 5
# For so many windows a training is compared with what it was to replace.
_WATCHED = 4


@dataclass(frozen=True)
class Gate:
    """What a challenger has to show before it serves, and after.

    Attributes:
        confidence: That it is better than the champion on rows that neither learned from.
        min_rows: Fewest such rows.
        looks: How often it is compared, at successive ticks and on all rows so far, before it has lost. The
            chance of a false win is divided among the looks.
        revert: Confidence at which the version before is better on the labels of the last four windows, none
            of which the new one has won on, so that it comes back; None if it never does.
        weighs_expectation: Whether what was expected counts. Then a challenger wins that is better on those
            rows, and to such a confidence by these and the expectation together (Bayes), however often it is
            looked at.
        margin: Gain of the metric that must be shown.
    """

    confidence: float = 0.95
    min_rows: int = 30
    looks: int = 1
    revert: float | None = None
    weighs_expectation: bool = False
    margin: float = 0.0

    @classmethod
    def of(cls, rules: "ChampionComparisonRules") -> "Gate":
        """Return the gate that a policy demands. In a replay each hold-out is used for the first time."""
        demanded = rules.confidence
        return cls(
            confidence=1 - (1 - demanded) * share_of_error(1) if demanded else 0.0,
            min_rows=int(rules.min_rows or 1),
            weighs_expectation=rules.weighs_expectation,
            margin=rules.min_gain,
        )

    def is_won(self, found: Comparison | None, expected: ExpectedGain | None) -> bool:
        """Return whether a challenger has shown enough."""
        if found is None or found.rows < self.min_rows:
            return False
        together = None
        if self.weighs_expectation and expected is not None:
            together = found.shown.probability_with(expected.expectation)
        if together is None:
            return found.p_value <= (1 - self.confidence) / self.looks
        return together >= self.confidence

    def is_lost(self, found: Comparison | None) -> bool:
        """Return whether a version has been shown to be worse than the one it took the place of."""
        if self.revert is None or found is None or found.rows < self.min_rows:
            return False
        return found.p_value >= self.revert


class Policy(Protocol):
    """What decides in a replay."""

    @property
    def gate(self) -> Gate | None:
        """What a challenger has to show; None if it serves at once."""

    @property
    def fleet_budget(self) -> float | None:
        """Share of the fleet's models that may be trained at one tick; None for all."""

    def decide(self, model: str, situation: Situation) -> Decision:
        """Return whether to train a model."""


@dataclass(frozen=True)
class RulesPolicy:
    """A policy by a model's rules; see :class:`Policy`."""

    rules: Rules
    gate: Gate | None = field(default_factory=Gate)
    fleet_budget: float | None = None

    def decide(self, model: str, situation: Situation) -> Decision:
        """Return whether to train a model."""
        return decide_on(situation, self.rules)


@dataclass(frozen=True)
class Version:
    """A version of a replay.

    Attributes:
        number: From 1.
        trained: When.
        until: The labels known by this time are those that it learned from.
        rows: How many these are.
        seconds: Processor time of the training.
    """

    number: int
    trained: datetime
    until: datetime
    rows: int
    seconds: float


@dataclass(frozen=True)
class Step:
    """What was decided at a tick, and how that turned out.

    Attributes:
        at: The tick.
        champion: Version that served the window until then.
        metric: Its primary metric in that window, by the labels of today.
        first_metric: That of the first version, which a team that never retrains would still have.
        decision: What was decided.
        trained: The version that was trained, if one was.
        fate: What had become of it when the walk ended.
        turned_out: Logarithm of the loss, in the next window, of the version that was champion when it was
            decided, over that of the one that was trained or would have been; None where that is not known.
    """

    at: datetime
    champion: int
    metric: float | None
    first_metric: float | None
    decision: Decision
    trained: int | None = None
    fate: Fate | None = None
    turned_out: float | None = None

    def as_record(self) -> dict[str, Any]:
        """Return it as plain values, fit for JSON but for times."""
        return {**asdict(self), "decision": self.decision.as_record()}


@dataclass(frozen=True)
class Replayed:
    """What a replay of one model came to.

    Attributes:
        model: Name of the model.
        versions: All that were trained, the first included.
        steps: One a tick, from the second on.
    """

    model: str
    versions: tuple[Version, ...]
    steps: tuple[Step, ...]

    @property
    def trainings(self) -> int:
        """How many retrainings were started."""
        return len(self.versions) - 1

    @property
    def seconds(self) -> float:
        """Processor time of the retrainings."""
        return sum(version.seconds for version in self.versions[1:])

    def as_record(self) -> dict[str, Any]:
        """Return it as plain values, fit for JSON but for times."""
        return {
            "model": self.model,
            "trainings": self.trainings,
            "seconds": self.seconds,
            "versions": [asdict(version) for version in self.versions],
            "steps": [step.as_record() for step in self.steps],
        }


def replay(
    history: History,
    policy: Policy,
    trainer: Trainer,
    *,
    known: Mapping[str, Sequence[Outcome]] | None = None,
    hindsight: bool = True,
) -> Replayed:
    """Return what a policy would have done with one model.

    Args:
        history: The model's past.
        policy: Decides.
        trainer: Trains.
        known: What retrainings of other models had gained when the past began.
        hindsight: Whether to train also where it was decided not to, to tell what that would have gained.
    """
    return replay_fleet([(history, trainer)], policy, known=known, hindsight=hindsight)[0]


def replay_fleet(
    fleet: Sequence[tuple[History, Trainer]],
    policy: Policy,
    *,
    known: Mapping[str, Sequence[Outcome]] | None = None,
    hindsight: bool = True,
) -> list[Replayed]:
    """Return what a policy would have done with models that share a budget and learn from each other.

    Args:
        fleet: Each model's past, and what trains it.
        policy: Decides.
        known: What retrainings of models outside the fleet had gained when the past began.
        hindsight: Whether to train also where it was decided not to.
    """
    walks = [_Walk(history, trainer, policy) for history, trainer in fleet]
    for at, now in _by_time(walks):
        for walk, tick in now:
            walk.settle(tick)
        learned = fleet_of({**(known or {}), **{walk.name: walk.outcomes for walk in walks}})
        decisions = {walk.name: policy.decide(walk.name, walk.situation(tick, learned)) for walk, tick in now}
        share = policy.fleet_budget
        chosen = choose(decisions, None if share is None else math.ceil(share * len(now)))
        for walk, tick in now:
            walk.act(tick, at, chosen[walk.name])
    return [walk.end(hindsight) for walk in walks]


def _by_time(walks: "Sequence[_Walk]") -> "Iterator[tuple[datetime, list[tuple[_Walk, int]]]]":
    """Yield each time at which it is decided, with the walks and the numbers of their ticks."""
    ticks: dict[datetime, list[tuple[_Walk, int]]] = {}
    for walk in walks:
        # What the last tick would decide serves no window any more.
        for tick, at in enumerate(walk.history.ticks[:-1]):
            if tick > 0:
                ticks.setdefault(at, []).append((walk, tick))
    yield from sorted(ticks.items(), key=lambda found: found[0])


@dataclass
class _Training:
    """A retraining, and what is known of it so far."""

    version: int
    against: int
    growth: float
    excess: float
    expected: ExpectedGain | None
    looks: int = 0
    fate: Fate = "on trial"
    comparison: Comparison | None = None
    won: datetime | None = None


class _Walk:
    """One model on its way through its past."""

    def __init__(self, history: History, trainer: Trainer, policy: Policy) -> None:
        self.history, self.name = history, history.model
        self._trainer, self._policy = trainer, policy
        self._models: list[Trained] = []
        self._versions: list[Version] = []
        self._trainings: list[_Training] = []
        self._champion = 0
        self._steps: list[Step] = []
        self._served: list[int] = []
        self._held: list[int] = []
        self._missed = 0.0
        start = history.ticks[0]
        self._train(start, start)

    @property
    def outcomes(self) -> list[Outcome]:
        """What its retrainings are known to have gained."""
        return [
            Outcome(each.growth, each.excess, each.comparison.gain, each.comparison.error)
            for each in self._trainings
            if each.comparison is not None and math.isfinite(each.comparison.error)
        ]

    def settle(self, tick: int) -> None:
        """Compare what was trained with what it was to replace, on the labels that have come."""
        self._served.append(self._champion)
        gate = self._policy.gate
        if gate is None:
            return
        at = self.history.ticks[tick]
        for training in self._trainings[-1:]:
            self._compare(training, tick)
            if training.fate == "on trial":
                self._judge(training, gate, at)
            elif (
                training.fate == "serves" and gate.revert and gate.is_lost(self._since_it_won(training, tick))
            ):
                training.fate, self._champion = "reverted", training.against

    def situation(self, tick: int, fleet: Fleet) -> Situation:
        """Return what is known at a tick."""
        history, at, newest = self.history, self.history.ticks[tick], self._newest
        growth, unseen = self._growth(tick)
        loss, excess = self._loss(tick)
        expected = expect_gain(fleet, self.name, self.outcomes, growth=growth, excess=excess, loss=loss)
        self._missed += max(expected.share, 0.0)
        costs = [version.seconds for version in self._versions[-_LAST_COSTS:]]
        served = len(history.served(tick))
        champion = self._versions[self._champion]
        fresh = history.labelled(max(history.ticks[tick - 1], champion.until), at)
        harm, note = history.judge_harm(self._models[self._champion], fresh, self._holdout(champion))
        return Situation(
            at=at,
            note=note,
            harm=harm,
            unseen_rows=unseen,
            last_training=newest.trained,
            started=[version.trained for version in self._versions[1:]],
            running=bool(self._trainings) and self._trainings[-1].fate == "on trial",
            incident=history.incidents.get(tick),
            expected=expected,
            missed=self._missed,
            cost=sum(costs) / len(costs),
            traffic=served / max((at - history.ticks[tick - 1]) / timedelta(days=1), 1e-9),
        )

    def act(self, tick: int, at: datetime, decision: Decision) -> None:
        """Train if it was decided to."""
        champion, trained = self._served[-1], None
        self._held.append(self._champion)
        if decision.retrain:
            gate = self._policy.gate
            growth, _ = self._growth(tick)
            _, excess = self._loss(tick)
            against = self._champion
            trained = self._train(at, self._until(tick))
            training = _Training(trained, against, growth, excess, decision.expected)
            self._trainings.append(training)
            self._missed = 0.0
            if gate is None:
                training.fate, self._champion = "serves", trained
            else:
                self._compare(training, tick)
                self._judge(training, gate, at)
        rows = self.history.served(tick)
        self._steps.append(
            Step(
                at,
                self._versions[champion].number,
                _or_none(self.history.measure(self._models[champion], rows)),
                _or_none(self.history.measure(self._models[0], rows)),
                decision,
                None if trained is None else self._versions[trained].number,
            )
        )

    def end(self, hindsight: bool) -> Replayed:
        """Return the walk, with how each decision turned out."""
        fates = {self._versions[each.version].number: each.fate for each in self._trainings}
        steps = []
        for tick, step in enumerate(self._steps, start=1):
            fate = None if step.trained is None else fates[step.trained]
            gain = self._turned_out(tick, step) if hindsight or step.trained is not None else None
            steps.append(replace(step, fate=fate, turned_out=gain))
        last = len(self.history.ticks) - 1
        rows = self.history.served(last)
        steps.append(
            Step(
                self.history.ticks[last],
                self._versions[self._champion].number,
                _or_none(self.history.measure(self._models[self._champion], rows)),
                _or_none(self.history.measure(self._models[0], rows)),
                Decision(None, False, "the past ends here"),
            )
        )
        return Replayed(self.name, tuple(self._versions), tuple(steps))

    @property
    def _newest(self) -> Version:
        """The version that a new one would have to better: that on trial, else the champion."""
        if self._trainings and self._trainings[-1].fate == "on trial":
            return self._versions[self._trainings[-1].version]
        return self._versions[self._champion]

    def _until(self, tick: int) -> datetime:
        """Return up to when a training at a tick knows labels: with a gate, the last window is held out."""
        return self.history.ticks[tick if self._policy.gate is None else tick - 1]

    def _growth(self, tick: int) -> tuple[float, int]:
        known = len(self.history.learned_from(self._until(tick)))
        seen = self._newest.rows
        return math.log(max(known, seen) / seen), max(known - seen, 0)

    def _loss(self, tick: int) -> tuple[float | None, float]:
        """Return the champion's loss on the newest labels, and its logarithm over that on its first ones."""
        history, version = self.history, self._versions[self._champion]
        model, at = self._models[self._champion], history.ticks[tick]
        newest = history.labelled(max(history.ticks[tick - 1], version.until), at)
        now = loss_of(history.metric, history.measure(model, newest))
        if math.isnan(now):
            return None, 0.0
        holdout = self._holdout(version)
        if len(holdout) == 0 or holdout[-1] >= newest[0]:  # it is still served its hold-out
            return now, 0.0
        first = loss_of(history.metric, history.measure(model, holdout))
        return now, max(math.log(now / first), 0.0) if first > 0 and now > 0 else 0.0

    def _holdout(self, version: Version) -> "Array":
        """Return the rows whose label came in the first window after those that a version learned from."""
        after = next(then for then in self.history.ticks if then > version.until)
        return self.history.labelled(version.until, after)

    def _train(self, at: datetime, until: datetime) -> int:
        rows = self.history.learned_from(until)
        model = self._trainer.train(rows)
        self._models.append(model)
        self._versions.append(Version(len(self._models), at, until, len(rows), model.seconds))
        return len(self._models) - 1

    def _compare(self, training: _Training, tick: int) -> None:
        """Compare on all labels since that neither knew, while these are few."""
        after = max(self._versions[number].until for number in (training.version, training.against))
        ticks = self.history.ticks
        if sum(after < then <= ticks[tick] for then in ticks) <= _WATCHED:
            training.comparison = self._compared(training, after, ticks[tick])

    def _since_it_won(self, training: _Training, tick: int) -> Comparison | None:
        """Compare on the labels of the last windows; those that it won on would be partial to it."""
        assert training.won is not None
        ticks = self.history.ticks
        return self._compared(training, max(training.won, ticks[max(tick - _WATCHED, 0)]), ticks[tick])

    def _compared(self, training: _Training, after: datetime, at: datetime) -> Comparison | None:
        new, old = self._models[training.version], self._models[training.against]
        margin = self._policy.gate.margin if self._policy.gate else 0.0
        return self.history.compare(new, old, self.history.labelled(after, at), margin)

    def _judge(self, training: _Training, gate: Gate, at: datetime) -> None:
        """Let a challenger serve that has won, and forget one that has not by its last look."""
        training.looks += 1
        if gate.is_won(training.comparison, training.expected):
            training.fate, training.won, self._champion = "serves", at, training.version
        elif training.looks >= gate.looks:
            training.fate = "lost"

    def _turned_out(self, tick: int, step: Step) -> float | None:
        """Return what a training at a tick gained in the next window, or would have gained."""
        if step.trained is None:
            model = self._trainer.train(self.history.learned_from(self._until(tick)))
        else:
            model = self._models[step.trained - 1]
        # What was to serve when it was decided, not what serves now.
        old = self._models[self._held[tick - 1]]
        rows = self.history.served(tick + 1)
        before = loss_of(self.history.metric, self.history.measure(old, rows))
        after = loss_of(self.history.metric, self.history.measure(model, rows))
        return math.log(before / after) if before > 0 and after > 0 else None


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
