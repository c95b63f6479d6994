"""Holm's method: the textbook's figures, however the tests are divided into families."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.monitoring.holm import holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_it_gives_the_figures_that_follow_by_hand() -> None:
    (found,) = holm([np.array([0.01, 0.04, 0.03, 0.005])])
    assert found == pytest.approx([0.03, 0.06, 0.06, 0.02])  # by rank: 4 * .005, 3 * .01, 2 * .03, no less


@given(P_VALUES, st.integers(0, 12))
def test_families_are_adjusted_together_and_what_is_not_tested_does_not_count(
    values: list[float], first: int
) -> None:
    (whole,) = holm([np.array(values)])
    parts = [np.array([*values[:first], np.nan]), np.array([[*values[first:]]])]
    one, other = holm(parts)
    assert [one.shape, other.shape] == [part.shape for part in parts]
    assert np.isnan(one[-1])
    np.testing.assert_array_equal([*one[:-1], *other[0]], whole)


@given(P_VALUES)
def test_it_is_never_milder_than_one_test_nor_stricter_than_bonferroni(values: list[float]) -> None:
    raw = np.array(values)
    (found,) = holm([raw])
    assert (found >= raw).all()
    assert (found <= np.minimum(raw * len(raw), 1.0)).all()
    assert (np.diff(found[np.argsort(raw, kind="stable")]) >= 0).all()


def test_of_no_tests_there_is_nothing_to_say() -> None:
    assert holm([]) == []
