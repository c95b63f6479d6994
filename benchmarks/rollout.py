"""How often a rollout is reverted without harm, or goes on in spite of it, when it is looked at all the time.

    python benchmarks/rollout.py [ROLLOUTS]

Each simulated rollout sends 5, then 25, then 50 % of its requests to the challenger. Models fail on some of
them, and each takes its time; the challenger fails more often, or costs more, by as much as is tolerated, by
as much as the policy calls harm, or by twice that. Three rules judge the very same requests and look after
each of them:

- ours: bounds that hold at all times at once (mlops_assets.rollout), as the policy sets them
- a z-test that is repeated after each request
- a fixed threshold, as progressive delivery tools for web services have it: five intervals in which less than
  99 % of the challenger's answers succeed, or in which they cost more than midway between what is tolerated
  and the margin, revert; a rollout without them is promoted

The promise is the policy's alpha: of rollouts without harm no more are reverted, and of those with harm no
more promoted. What a rule has not decided by the end waits, and is reverted at the policy's deadline.
"""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlops_assets.rollout.sequential_bounds import shown_above, shown_below, split_differences
from mlops_assets.specs.policy_file import load_policy
from mlops_assets.specs.rollout_rules import GuardRules

Array = np.ndarray[Any, Any]
Rule = Callable[["Requests"], tuple[int | None, int | None]]
Draw = Callable[[np.random.Generator, Array], tuple[Array, float]]

_ROLLOUTS = 10_000
_RULES = load_policy().tiers["minimal"].rollout
_ALPHA = _RULES.alpha
_FAILURES = 0.005  # of the champion: better than what the fixed threshold asks for
_COST = 0.2  # of the champion, of what nearly all of its predictions cost less than
_STEPS = ((0.05, 12_000), (0.25, 6_000), (0.5, 6_000))
_FIRST_LOOK = 100
_INTERVAL, _BAD_INTERVALS = 500, 5


@dataclass(frozen=True)
class Requests:
    """The requests of one rollout: what came of each, who answered, and how probable that was.

    Attributes:
        rules: What is demanded of what came of them.
        limit: A mean above this makes an interval a bad one, by the fixed threshold.
    """

    outcome: Array
    challenger: Array
    share: Array
    rules: GuardRules
    limit: float


def main() -> None:
    rollouts = int(sys.argv[1]) if len(sys.argv) > 1 else _ROLLOUTS
    print(f"{rollouts:,} rollouts each, alpha {_ALPHA}; the champion fails on {_FAILURES:.1%}, costs {_COST}")
    for told, rules, draw in (
        ("fails on {:.1%} more", _RULES.guards.error_rate, failures),
        ("costs {:.2f} more", _RULES.guards.cost, costs),
    ):
        for harm in (rules.tolerance, rules.margin, 2 * rules.margin):
            print(f"\nthe challenger {told.format(harm)}")
            _simulate(rollouts, draw, rules, harm)


def _simulate(rollouts: int, draw: Draw, rules: GuardRules, harm: float) -> None:
    generator = np.random.default_rng(7)
    ends: dict[str, Counter[str]] = {rule.__name__: Counter() for rule in _JUDGES}
    taken: dict[str, list[int]] = {rule.__name__: [] for rule in _JUDGES}
    for _ in range(rollouts):
        share = np.concatenate([np.full(count, share) for share, count in _STEPS])
        challenger = generator.random(len(share)) < share
        outcome, limit = draw(generator, np.where(challenger, harm, 0.0))
        requests = Requests(outcome, challenger, share, rules, limit)
        for rule in _JUDGES:
            end, after = _ended(*rule(requests), len(share))
            ends[rule.__name__][end] += 1
            taken[rule.__name__].append(after)
    for name, counted in ends.items():
        wrong = "promoted" if harm > rules.tolerance else "reverted"
        shares = ", ".join(
            f"{end} {counted[end] / rollouts:6.2%}" for end in ("promoted", "reverted", "waiting")
        )
        kept = "kept" if counted[wrong] / rollouts <= _ALPHA else "BROKEN"
        print(f"  {name:16} {shares}; after {np.median(taken[name]):7,.0f} requests; alpha {kept}")


def failures(generator: np.random.Generator, harm: Array) -> tuple[Array, float]:
    """Return whether each request failed, and the share of failures that a fixed threshold allows."""
    return (generator.random(len(harm)) < _FAILURES + harm).astype("float64"), 0.01


def costs(generator: np.random.Generator, harm: Array) -> tuple[Array, float]:
    """Return what each request cost, with a tail, and the mean that a fixed threshold allows."""
    cost = generator.beta(1, 1 / _COST - 1, len(harm))
    allowed = (_RULES.guards.cost.tolerance + _RULES.guards.cost.margin) / 2
    return cost + harm * (1 - cost) / (1 - _COST), _COST + allowed


def _ended(harm: int | None, harmless: int | None, requests: int) -> tuple[str, int]:
    """Return what became of a rollout, and after how many requests; it is promoted after its last step."""
    if harm is not None:
        return "reverted", harm
    return ("waiting", requests) if harmless is None else ("promoted", requests)


def ours(requests: Requests) -> tuple[int | None, int | None]:
    found = split_differences(requests.outcome, requests.challenger, requests.share)
    return (
        shown_above(found, requests.rules.tolerance, _ALPHA),
        shown_below(found, requests.rules.margin, _ALPHA),
    )


def z_test(requests: Requests) -> tuple[int | None, int | None]:
    one, other = (
        _running(requests.outcome, requests.challenger),
        _running(requests.outcome, ~requests.challenger),
    )
    known = (one.count >= _FIRST_LOOK) & (other.count >= _FIRST_LOOK)
    seen = np.arange(1, len(known) + 1)
    pooled, squared = np.cumsum(requests.outcome) / seen, np.cumsum(requests.outcome**2) / seen
    varies = np.clip(squared - pooled**2, 1e-9, None)
    spread = np.sqrt(varies * (1 / np.maximum(one.count, 1) + 1 / np.maximum(other.count, 1)))
    differs, quantile = one.mean - other.mean, 1.6449  # one-sided 95 %
    return (
        _first(known & (differs - quantile * spread > requests.rules.tolerance)),
        _first(known & (differs + quantile * spread < requests.rules.margin)),
    )


def fixed_threshold(requests: Requests) -> tuple[int | None, int | None]:
    bad = 0
    for start in range(0, len(requests.outcome), _INTERVAL):
        part = slice(start, start + _INTERVAL)
        answered = requests.outcome[part][requests.challenger[part]]
        bad += len(answered) > 0 and answered.mean() > requests.limit
        if bad >= _BAD_INTERVALS:
            return start + _INTERVAL, None
    return None, len(requests.outcome)


@dataclass(frozen=True)
class _Running:
    count: Array
    mean: Array


def _running(values: Array, chosen: Array) -> _Running:
    count = np.cumsum(chosen)
    return _Running(count, np.cumsum(values * chosen) / np.maximum(count, 1))


def _first(marked: Array) -> int | None:
    return int(marked.argmax()) + 1 if marked.any() else None


_JUDGES: tuple[Rule, ...] = (ours, z_test, fixed_threshold)


if __name__ == "__main__":
    main()
