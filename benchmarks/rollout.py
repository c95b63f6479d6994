"""How often a rollout is reverted without harm, or goes on in spite of it, when it is looked at all the time.

    python benchmarks/rollout.py [ROLLOUTS]

Each simulated rollout sends 5, then 25, then 50 % of its requests to the challenger. Models fail on some of
them; the challenger does no harm, or fails more often by as much as the policy calls harm, or by twice that.
Three rules judge the very same requests and look after each of them:

- ours: bounds that hold at all times at once (mlops_assets.rollout), as the policy sets them
- a z-test that is repeated after each request
- a fixed threshold, as progressive delivery tools for web services have it: five intervals in which less than
  99 % of the challenger's answers succeed revert; a rollout without them is promoted

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

Array = np.ndarray[Any, Any]
Rule = Callable[["Requests"], tuple[int | None, int | None]]

_ROLLOUTS = 10_000
_RULES = load_policy().tiers["minimal"].rollout
_GUARD, _ALPHA = _RULES.guards.error_rate, _RULES.alpha
_FAILURES = 0.005  # of the champion: better than what the fixed threshold asks for
_STEPS = ((0.05, 12_000), (0.25, 6_000), (0.5, 6_000))
_FIRST_LOOK = 100
_INTERVAL, _SUCCESS, _BAD_INTERVALS = 500, 0.99, 5


@dataclass(frozen=True)
class Requests:
    """The requests of one rollout: whether the model failed, who answered, and how probable that was."""

    failed: Array
    challenger: Array
    share: Array


def main() -> None:
    rollouts = int(sys.argv[1]) if len(sys.argv) > 1 else _ROLLOUTS
    print(f"{rollouts:,} rollouts each, a champion that fails on {_FAILURES:.1%}, alpha {_ALPHA}")
    for harm in (0.0, _GUARD.margin, 2 * _GUARD.margin):
        print(f"\nthe challenger fails on {_FAILURES + harm:.1%}")
        generator = np.random.default_rng(7)
        ends: dict[str, Counter[str]] = {rule.__name__: Counter() for rule in _JUDGES}
        taken: dict[str, list[int]] = {rule.__name__: [] for rule in _JUDGES}
        for _ in range(rollouts):
            requests = _requests(generator, harm)
            for rule in _JUDGES:
                end, after = _ended(*rule(requests), len(requests.failed))
                ends[rule.__name__][end] += 1
                taken[rule.__name__].append(after)
        for name, counted in ends.items():
            wrong = "reverted" if harm == 0 else "promoted"
            shares = ", ".join(
                f"{end} {counted[end] / rollouts:6.2%}" for end in ("promoted", "reverted", "waiting")
            )
            kept = "kept" if counted[wrong] / rollouts <= _ALPHA else "BROKEN"
            print(f"  {name:16} {shares}; after {np.median(taken[name]):7,.0f} requests; alpha {kept}")


def _requests(generator: np.random.Generator, harm: float) -> Requests:
    share = np.concatenate([np.full(count, share) for share, count in _STEPS])
    challenger = generator.random(len(share)) < share
    failed = generator.random(len(share)) < np.where(challenger, _FAILURES + harm, _FAILURES)
    return Requests(failed.astype("float64"), challenger, share)


def _ended(harm: int | None, harmless: int | None, requests: int) -> tuple[str, int]:
    """Return what became of a rollout, and after how many requests; it is promoted after its last step."""
    if harm is not None:
        return "reverted", harm
    return ("waiting", requests) if harmless is None else ("promoted", requests)


def ours(requests: Requests) -> tuple[int | None, int | None]:
    found = split_differences(requests.failed, requests.challenger, requests.share)
    return (
        shown_above(found, _GUARD.tolerance, _ALPHA),
        shown_below(found, _GUARD.margin, _ALPHA),
    )


def z_test(requests: Requests) -> tuple[int | None, int | None]:
    one, other = (
        _running(requests.failed, requests.challenger),
        _running(requests.failed, ~requests.challenger),
    )
    known = (one.count >= _FIRST_LOOK) & (other.count >= _FIRST_LOOK)
    pooled = np.clip(np.cumsum(requests.failed) / np.arange(1, len(known) + 1), 1e-9, None)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / np.maximum(one.count, 1) + 1 / np.maximum(other.count, 1)))
    differs, quantile = one.mean - other.mean, 1.6449  # one-sided 95 %
    return (
        _first(known & (differs - quantile * spread > _GUARD.tolerance)),
        _first(known & (differs + quantile * spread < _GUARD.margin)),
    )


def fixed_threshold(requests: Requests) -> tuple[int | None, int | None]:
    bad = 0
    for start in range(0, len(requests.failed), _INTERVAL):
        part = slice(start, start + _INTERVAL)
        answered = requests.failed[part][requests.challenger[part]]
        bad += len(answered) > 0 and 1 - answered.mean() < _SUCCESS
        if bad >= _BAD_INTERVALS:
            return start + _INTERVAL, None
    return None, len(requests.failed)


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
