"""Expected gains are learned from what was gained, and shrink towards the fleet where little was."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.monitoring.retraining.gain import (
    PLATFORM,
    Outcome,
    expect_gain,
    fleet_of,
    own_coefficients,
)

outcomes = st.lists(
    st.builds(Outcome, st.floats(0, 1), st.floats(0, 1), st.floats(-1, 1), st.floats(0.001, 1)), max_size=12
)


def gained(slope: float, count: int, *, seed: int = 0, error: float = 0.02) -> list[Outcome]:
    random = np.random.default_rng(seed)
    growths = random.uniform(0.1, 0.5, count)
    return [Outcome(g, 0.0, random.normal(slope * g, error), error) for g in growths]


def test_without_any_history_the_platform_says_what_to_expect() -> None:
    found = expect_gain(fleet_of({}), "m", [], growth=math.log(2))
    assert found.share == pytest.approx(PLATFORM.growth * math.log(2))
    assert (found.own, found.fleet) == (0, 0)
    assert found.metric is None


def test_a_model_with_much_history_speaks_for_itself() -> None:
    fleet = {f"f{i}": gained(slope, 5, seed=i) for i, slope in enumerate(np.linspace(-0.2, 0.4, 20))}
    prior = fleet_of(fleet).prior()
    few, many = (own_coefficients(prior, gained(0.5, count)).growth for count in (1, 200))
    assert prior.growth < few < many
    assert many == pytest.approx(0.5, abs=0.05)


def test_a_model_without_history_is_like_its_fleet() -> None:
    fleet = {f"f{i}": gained(0.3, 5, seed=i) for i in range(20)}
    found = expect_gain(fleet_of(fleet), "new", [], growth=0.5)
    assert found.share == pytest.approx(0.15, abs=0.03)
    alone = expect_gain(fleet_of({}), "new", [], growth=0.5)
    assert found.error < alone.error


def test_one_own_outcome_moves_less_in_a_fleet_of_equals() -> None:
    equals = {f"f{i}": gained(0.1, 5, seed=i) for i in range(30)}
    unlike = {f"f{i}": gained(s, 5, seed=i) for i, s in enumerate(np.linspace(-0.4, 0.6, 30))}
    once = [Outcome(0.5, 0.0, 0.4, 0.02)]
    among_equals = own_coefficients(fleet_of(equals).prior(), once).growth
    among_unlike = own_coefficients(fleet_of(unlike).prior(), once).growth
    assert among_equals < among_unlike


def test_seasons_that_come_back_teach_that_nothing_is_gained() -> None:
    lost = [Outcome(0.2, 0.3, -0.05, 0.01)] * 10
    assert expect_gain(fleet_of({"m": lost}), "m", lost, growth=0.2, excess=0.3).share <= 0


@given(outcomes, st.floats(0, 2), st.floats(0, 1))
def test_more_history_never_makes_less_sure(own: list[Outcome], growth: float, excess: float) -> None:
    _, before = PLATFORM.predict(growth, excess)
    _, after = own_coefficients(PLATFORM, own).predict(growth, excess)
    assert -1e-12 <= after <= before + 1e-12


@given(outcomes, st.permutations(range(12)))
def test_the_order_of_outcomes_does_not_matter(own: list[Outcome], order: list[int]) -> None:
    mixed = [own[i] for i in order if i < len(own)]
    assert own_coefficients(PLATFORM, mixed).growth == pytest.approx(
        own_coefficients(PLATFORM, own).growth, abs=1e-9
    )


def test_the_gain_is_told_in_the_metric_too() -> None:
    own = gained(0.5, 100)
    found = expect_gain(fleet_of({"m": own}), "m", own, growth=0.4, loss=10.0)
    assert found.metric == pytest.approx(10 * (1 - math.exp(-found.share)))
    assert found.basis == "1.49 times the rows; learned from 100 of its own retrainings and 0 of the fleet's"


@given(outcomes, outcomes)
def test_a_model_is_no_part_of_its_own_prior(own: list[Outcome], others: list[Outcome]) -> None:
    with_it, without = fleet_of({"m": own, "other": others}), fleet_of({"other": others})
    if with_it.scale == without.scale:
        assert with_it.prior("m").growth == pytest.approx(without.prior().growth, abs=1e-9)
    assert with_it.others("m") == len(others)
