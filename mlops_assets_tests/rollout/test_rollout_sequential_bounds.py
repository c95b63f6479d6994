from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.rollout.sequential_bounds import (
    Differences,
    is_above,
    is_below,
    lower_bound,
    paired_differences,
    split_differences,
    upper_bound,
)

Array = np.ndarray[Any, Any]
ALPHA = 0.05

rates = st.floats(0.0, 1.0)
seeds = st.integers(0, 2**32 - 1)
probabilities = st.sampled_from([0.05, 0.25, 0.5, 0.9])


def answered(
    seed: int, units: int, champion: float, challenger: float, probability: float
) -> tuple[Array, Array, Array]:
    """Return outcomes, arms and the arms' probabilities of units that were split by chance."""
    generator = np.random.default_rng(seed)
    arm = generator.random(units) < probability
    outcome = generator.random(units) < np.where(arm, challenger, champion)
    return outcome.astype("float64"), arm, np.full(units, probability)


def test_a_version_that_does_no_harm_is_hardly_ever_said_to_however_often_anybody_looks() -> None:
    said = [
        is_above(split_differences(*answered(seed, 3_000, 0.1, 0.1, 0.2)), 0, ALPHA) for seed in range(300)
    ]

    # More than 26 of 300 would come once in a hundred times if each were as probable as alpha.
    assert sum(said) <= 26


def test_a_version_that_is_worse_by_the_margin_is_hardly_ever_said_to_do_no_harm() -> None:
    worse = [split_differences(*answered(seed, 3_000, 0.1, 0.15, 0.5)) for seed in range(300)]

    assert sum(is_below(each, 0.05, ALPHA) for each in worse) <= 26


def test_harm_is_found_and_harmlessness_too() -> None:
    harmful = split_differences(*answered(1, 20_000, 0.1, 0.16, 0.25))
    harmless = split_differences(*answered(2, 20_000, 0.1, 0.1, 0.25))

    assert (is_above(harmful, 0, ALPHA), is_below(harmful, 0.03, ALPHA)) == (True, False)
    assert (is_above(harmless, 0, ALPHA), is_below(harmless, 0.03, ALPHA)) == (False, True)


def test_an_hour_in_which_everything_fails_is_not_laid_at_the_challengers_door() -> None:
    generator = np.random.default_rng(3)
    share = np.repeat([0.05, 0.5], 10_000)  # its share grows as the bad hour begins
    arm = generator.random(20_000) < share
    outcome = (generator.random(20_000) < np.repeat([0.01, 0.4], 10_000)).astype("float64")

    pooled = outcome[arm].mean() - outcome[~arm].mean()
    found = split_differences(outcome, arm, share)

    assert pooled > 0.1
    assert lower_bound(found, ALPHA) < 0 < upper_bound(found, ALPHA)


@given(seeds, rates, rates, probabilities, st.integers(0, 400))
def test_bounds_only_tighten_as_more_is_known(
    seed: int, champion: float, challenger: float, probability: float, units: int
) -> None:
    outcome, arm, share = answered(seed, 400, champion, challenger, probability)
    before = split_differences(outcome[:units], arm[:units], share[:units])
    after = split_differences(outcome, arm, share)

    assert lower_bound(before, ALPHA) <= lower_bound(after, ALPHA)
    assert upper_bound(before, ALPHA) >= upper_bound(after, ALPHA)


@given(seeds, rates, rates, probabilities)
def test_what_a_unit_tells_lies_within_what_was_known_before(
    seed: int, champion: float, challenger: float, probability: float
) -> None:
    found = split_differences(*answered(seed, 200, champion, challenger, probability))

    assert (found.lowest <= found.estimate).all()
    assert (found.estimate <= found.highest).all()


@given(seeds, rates, rates, probabilities)
def test_arms_exchanged_the_bounds_are_each_others_mirror(
    seed: int, champion: float, challenger: float, probability: float
) -> None:
    outcome, arm, share = answered(seed, 300, champion, challenger, probability)
    one = split_differences(outcome, arm, share)
    other = split_differences(outcome, ~arm, 1 - share)

    assert lower_bound(one, ALPHA) == pytest.approx(-upper_bound(other, ALPHA), abs=2e-4)


@given(seeds, rates, rates)
def test_bounds_and_questions_agree(seed: int, champion: float, challenger: float) -> None:
    found = split_differences(*answered(seed, 300, champion, challenger, 0.5))
    low, high = lower_bound(found, ALPHA), upper_bound(found, ALPHA)

    assert low <= high
    assert not is_above(found, low + 2e-4, ALPHA)
    assert not is_below(found, high - 2e-4, ALPHA)


def test_the_same_requests_answered_by_both_tell_more_than_split_ones() -> None:
    generator = np.random.default_rng(4)
    hard = generator.random(2_000)
    champion = (hard < 0.2).astype("float64")
    challenger = (hard < 0.23).astype("float64")
    arm = generator.random(2_000) < 0.5
    split = split_differences(np.where(arm, challenger, champion), arm, np.full(2_000, 0.5))

    def width(found: Differences) -> float:
        return upper_bound(found, ALPHA) - lower_bound(found, ALPHA)

    assert width(paired_differences(challenger, champion)) < width(split) / 2


@pytest.mark.parametrize("units", [0, 1, 20])
def test_a_few_units_tell_nothing(units: int) -> None:
    worst = Differences(np.ones(units), -np.ones(units), np.ones(units))

    assert (lower_bound(worst, ALPHA), upper_bound(worst, ALPHA)) == pytest.approx((-1, 1), abs=1e-3)


def test_a_look_after_each_unit_sees_what_one_at_the_end_has_seen() -> None:
    outcome, arm, share = answered(5, 1_500, 0.1, 0.3, 0.5)
    found_first = next(
        n
        for n in range(len(outcome))
        if is_above(split_differences(outcome[:n], arm[:n], share[:n]), 0, ALPHA)
    )
    # From then on the challenger is much better, and what was shown was shown.
    outcome[found_first:] = ~arm[found_first:]

    assert is_above(split_differences(outcome, arm, share), 0, ALPHA)
