"""Figures are 0 in the mean while nothing is wrong, and chance varies them by one over the rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from mlops_assets.monitoring.alarms.components import Components, arcsines
from mlops_assets.monitoring.alarms.seen import Seen, by_others
from mlops_assets.monitoring.profiles.categories import Categories
from mlops_assets.monitoring.profiles.column import (
    CategoricalProfile,
    ColumnProfile,
    NumericProfile,
    Rows,
    of_numbers,
)
from mlops_assets_tests.monitoring.alarms.stable_streams import Array, counts, heavy, numbers, skewed

QUICK = settings(max_examples=60, deadline=None)


@QUICK
@given(rows=st.integers(20, 5000), share=st.just(0.0) | st.floats(1e-6, 0.5))
def test_a_share_is_neither_too_great_nor_too_small_in_the_mean(rows: int, share: float) -> None:
    cases = np.arange(rows + 1)
    probable = binom.pmf(cases, rows, share)
    figures = np.array(
        [
            arcsines(np.array([each]), np.array([rows]), np.array([share]))[0]
            for each in cases[probable > 1e-12]
        ]
    )
    probable = probable[probable > 1e-12]
    mean = probable @ figures
    error = rows**-0.5
    assert abs(mean) < 0.05 * error
    assert probable @ (figures - mean) ** 2 < 1.15 * error**2


@pytest.mark.parametrize("kind", [numbers, skewed, heavy, counts])
@pytest.mark.parametrize("rows", [100, 2000])
def test_moments_vary_by_chance_as_they_are_said_to(kind: object, rows: int) -> None:
    generator = np.random.default_rng(rows)
    components = Components.of(kind(generator.standard_normal(200_000)))  # type: ignore[operator]
    windows = 400
    found = np.array(
        [
            components.figures(kind(generator.standard_normal(rows)), components.seen)[0][:4]  # type: ignore[operator]
            for _ in range(windows)
        ]
    )
    assert components.names[:4] == ("location", "spread", "skewness", "tails")
    standard = found * rows**0.5
    assert np.abs(standard.mean(axis=0)).max() < 4 * windows**-0.5 + 0.1
    # Four standard errors of a variance, and a little for the tails of small samples.
    assert np.abs(standard.var(axis=0) - 1).max() < 4 * (2 / windows) ** 0.5 + 0.1


@QUICK
@given(
    values=st.lists(st.integers(-1000, 1000), min_size=40, max_size=300),
    seed=st.integers(0, 99),
)
def test_any_ascending_function_of_a_column_leaves_its_moments_as_they_were(
    values: list[int], seed: int
) -> None:
    window = np.random.default_rng(seed).choice(values, 50).astype(float)

    def moments(of: object) -> Array:
        components = Components.of(of_numbers(of(np.array(values, dtype=float))))  # type: ignore[operator]
        figures = components.figures(of_numbers(of(window)), components.seen)[0]  # type: ignore[operator]
        return figures[: len(components.names) - 2]

    assert moments(lambda x: x).tolist() == moments(lambda x: x**3 + x).tolist()


@QUICK
@given(shift=st.floats(-3, 3), scale=st.floats(0.2, 5), rows=st.integers(20, 200), seed=st.integers(0, 99))
def test_figures_are_finite_whatever_a_window_holds(shift: float, scale: float, rows: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    components = Components.of(of_numbers(np.round(generator.standard_normal(1000), 1)))
    window = of_numbers(shift * 10 + scale**4 * generator.standard_normal(rows))
    figures, counted = components.figures(window, components.seen)
    assert np.isfinite(figures).all()
    assert (counted == rows).all()
    assert sum(components.weights) == pytest.approx(1)


def _texts(found: frozenset[str]) -> ColumnProfile:
    return CategoricalProfile(Rows(all=len(found)), Categories.of(dict.fromkeys(found, 1)))


@QUICK
@given(windows=st.lists(st.frozensets(st.sampled_from("abcdefgh"), max_size=5), min_size=8, max_size=24))
def test_each_window_is_held_against_texts_that_windows_apart_from_it_had(
    windows: list[frozenset[str]],
) -> None:
    apart = len(windows) // 8 + 1
    for number, seen in enumerate(by_others([_texts(each) for each in windows])):
        others = [each for other, each in enumerate(windows) if abs(other - number) >= apart]
        assert seen.texts == frozenset().union(*others)


@QUICK
@given(
    windows=st.lists(
        st.none() | st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4), min_size=8, max_size=24
    )
)
def test_each_window_is_held_against_the_range_of_windows_apart_from_it(
    windows: list[list[float] | None],
) -> None:
    profiles = [None if each is None else of_numbers(np.array(each)) for each in windows]
    told = [seen for seen, each in zip(by_others(profiles), windows, strict=True) if each is not None]
    known = [each for each in windows if each is not None]
    apart = len(known) // 8 + 1
    for number, seen in enumerate(told):
        others = [value for other, each in enumerate(known) if abs(other - number) >= apart for value in each]
        assert (seen.low, seen.high) == (min(others, default=np.inf), max(others, default=-np.inf))


@QUICK
@given(
    known=st.lists(st.floats(-100, 100), min_size=1, max_size=20),
    window=st.lists(st.floats(-400, 400), min_size=1, max_size=50),
)
def test_what_lies_more_than_half_the_range_beyond_it_is_out_of_range(
    known: list[float], window: list[float]
) -> None:
    low, high = min(known), max(known)
    margin = 0.5 * (high - low)
    profile = of_numbers(np.array(window))
    assert isinstance(profile, NumericProfile)
    expected = sum(not low - margin <= value <= high + margin for value in window)
    assert Seen.of(of_numbers(np.array(known))).unseen(profile) == expected


def test_what_a_column_saw_is_told_by_the_windows_that_have_it() -> None:
    generator = np.random.default_rng(0)
    known = [of_numbers(generator.normal(size=500)) for _ in range(14)]
    every = by_others([*([None] * 167), *known])
    assert every[-14:] == by_others(known)
    shares = [each.unseen(profile) / 500 for each, profile in zip(every[-14:], known, strict=True)]
    assert max(shares) < 0.05
