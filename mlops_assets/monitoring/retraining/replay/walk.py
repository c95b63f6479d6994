"""One model on its way through its past."""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.retraining.decision import Decision, Situation
from mlops_assets.monitoring.retraining.gain import ExpectedGain, Fleet, Outcome, expect_gain
from mlops_assets.monitoring.retraining.history import Comparison, History, Trained, Trainer, loss_of
from mlops_assets.monitoring.retraining.replay.policy import Gate, Policy
from mlops_assets.monitoring.retraining.replay.replayed import Fate, Replayed, Step, Version

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_LAST_COSTS = 5
# For so many windows a training is compared with what it was to replace.
_WATCHED = 4


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


class Walk:
    """One model on its way through its past.

    At each tick :meth:`settle`, :meth:`situation` and :meth:`act` are called, in this order.

    Args:
        history: Its past.
        trainer: Trains it.
        policy: Decides.
    """

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
