"""Many pasts, walked through side by side: they share a budget and learn from each other."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from mlops_assets.monitoring.retraining.fleet_choice import choose
from mlops_assets.monitoring.retraining.gain import Outcome, fleet_of
from mlops_assets.monitoring.retraining.history import History, Trainer
from mlops_assets.monitoring.retraining.replay.policy import Policy
from mlops_assets.monitoring.retraining.replay.replayed import Replayed
from mlops_assets.monitoring.retraining.replay.walk import Walk


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
    walks = [Walk(history, trainer, policy) for history, trainer in fleet]
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


def _by_time(walks: Sequence[Walk]) -> Iterator[tuple[datetime, list[tuple[Walk, int]]]]:
    """Yield each time at which it is decided, with the walks and the numbers of their ticks."""
    ticks: dict[datetime, list[tuple[Walk, int]]] = {}
    for walk in walks:
        # What the last tick would decide serves no window any more.
        for tick, at in enumerate(walk.history.ticks[:-1]):
            if tick > 0:
                ticks.setdefault(at, []).append((walk, tick))
    yield from sorted(ticks.items(), key=lambda found: found[0])
