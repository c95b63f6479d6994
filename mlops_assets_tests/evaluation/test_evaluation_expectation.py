"""What was expected counts beside what rows show, and never instead of it."""

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.evaluation.expectation import Expectation, ShownGain

gains, errors = st.floats(-1, 1), st.floats(1e-3, 1)


@given(st.builds(ShownGain, gains, errors, st.floats(0, 1)), st.builds(Expectation, st.floats(-9, 9), errors))
def test_one_that_does_not_gain_on_the_rows_has_no_probability_whatever_was_expected(
    shown: ShownGain, expected: Expectation
) -> None:
    probability = shown.probability_with(expected)
    assert probability is not None
    assert 0 <= probability <= 1
    if shown.gain <= shown.margin:
        assert probability == 0


@given(st.floats(1e-3, 1), errors, st.floats(-1, 1))
def test_an_expectation_of_no_information_leaves_what_the_rows_say(
    gain: float, error: float, mean: float
) -> None:
    nothing = Expectation(mean, math.inf)
    assert ShownGain(gain, error).probability_with(nothing) == pytest.approx(NormalDist().cdf(gain / error))


@given(st.floats(1e-3, 1), errors, st.lists(st.floats(-1, 1), min_size=2, max_size=2), errors)
def test_the_more_was_expected_the_more_probable_a_gain_is(
    gain: float, error: float, means: list[float], deviation: float
) -> None:
    less, more = (ShownGain(gain, error).probability_with(Expectation(m, deviation)) for m in sorted(means))
    assert less is not None
    assert more is not None
    assert less <= more


def test_two_that_say_the_same_are_surer_than_one() -> None:
    # Two measurements with one error are one measurement with an error smaller by the root of two.
    together = ShownGain(0.1, 0.1).probability_with(Expectation(0.1, 0.1))
    assert together == pytest.approx(NormalDist().cdf(math.sqrt(2)))


@pytest.mark.parametrize("error", [0.0, math.nan])
def test_rows_whose_error_nobody_knows_cannot_be_weighed(error: float) -> None:
    assert ShownGain(0.1, error).probability_with(Expectation(0.1, 0.1)) is None
