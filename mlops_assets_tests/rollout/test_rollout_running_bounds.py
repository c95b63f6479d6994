"""A look that goes on from the last one tells what a look from scratch tells, to the last bit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.rollout import running_bounds, sequential_bounds
from mlops_assets.rollout.running_bounds import RunningBounds, Stand
from mlops_assets.rollout.sequential_bounds import (
    Differences,
    lower_bound,
    split_differences,
    upper_bound,
)

ALPHA = 0.05


@pytest.fixture(autouse=True, scope="module")
def in_small_parts() -> Any:
    """Add up parts of 50 units, so that few of them are many parts."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (sequential_bounds, running_bounds):
            patch.setattr(module, "AT_ONCE", 50)
        yield


def drawn(seed: int, units: int, harm: float) -> Any:
    generator = np.random.default_rng(seed)
    challenger = generator.random(units) < 0.25
    outcome = generator.random(units) < np.where(challenger, 0.2 + harm, 0.2)
    return outcome.astype("float64"), challenger, np.full(units, 0.25)


def both(kept: dict[str, Stand], found: Differences) -> tuple[tuple[float, float], dict[str, Stand]]:
    running = RunningBounds(kept)
    bounds = running.lower("low", found, ALPHA / 30), running.upper("high", found, ALPHA)
    return bounds, running.now


def from_scratch(found: Differences) -> tuple[float, float]:
    return lower_bound(found, ALPHA / 30), upper_bound(found, ALPHA)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.1, 0.5]),
    st.lists(st.integers(0, 900), min_size=1, max_size=6),
    st.integers(0, 899),
)
def test_whenever_it_was_looked_before_the_bounds_are_those_from_scratch(
    seed: int, harm: float, looks: list[int], corrected: int
) -> None:
    outcome, challenger, share = drawn(seed, 900, harm)
    kept: dict[str, Stand] = {}
    for place, units in enumerate(looks):  # in any order: what is known can become less, too
        if place == len(looks) - 1:
            outcome[corrected] = 1 - outcome[corrected]
        found = split_differences(outcome[:units], challenger[:units], share[:units])
        bounds, kept = both(kept, found)
        assert bounds == from_scratch(found)


def test_what_was_kept_under_another_probability_is_not_gone_on_from() -> None:
    found = split_differences(*drawn(0, 800, 0.1))
    _, kept = both({}, found)
    assert RunningBounds(kept).lower("low", found, ALPHA) == lower_bound(found, ALPHA)


def test_a_later_look_adds_up_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, challenger, share = drawn(0, 10_100, 0.0)
    first = split_differences(outcome[:10_050], challenger[:10_050], share[:10_050])
    later = split_differences(outcome, challenger, share)
    _, kept = both({}, first)
    added: list[int] = []
    log1p = np.log1p
    monkeypatch.setattr(np, "log1p", lambda values: added.append(values.shape[1]) or log1p(values))

    def counted(look: Any) -> int:
        added.clear()
        look()
        return sum(added)

    scratch = counted(lambda: from_scratch(later))
    assert counted(lambda: both(kept, first)) < scratch / 100
    # Where a bound has moved, the bets against the next value are begun anew.
    assert counted(lambda: both(kept, later)) < scratch / 10
