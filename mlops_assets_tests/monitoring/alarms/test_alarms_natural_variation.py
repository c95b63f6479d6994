"""Natural variation: what is estimated of a history, and that p-values mean what they say."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlops_assets.monitoring.alarms.empirical_bayes import posterior
from mlops_assets.monitoring.alarms.natural_variation import (
    NaturalVariation,
    Windows,
    precise,
)
from mlops_assets.monitoring.alarms.stable_history import estimate
from mlops_assets.monitoring.alarms.variation_models import Models

Array = np.ndarray[Any, Any]
ROWS = 1000
QUICK = settings(max_examples=40, deadline=None)
sizes = st.integers(2, 12)


def history(seed: int, figures: int, windows: int, *, correlation: float = 0.0, scale: float = 0.0) -> Array:
    """Return figures that vary by chance and, times the scale, as a first-order autoregression does."""
    generator = np.random.default_rng(seed)
    slow = generator.standard_normal((windows, figures))
    slow[1:] *= (1 - correlation**2) ** 0.5
    for window in range(1, windows):
        slow[window] += correlation * slow[window - 1]
    found: Array = (slow * scale**0.5 + generator.standard_normal((windows, figures))).T * ROWS**-0.5
    return found


def estimated(values: Array) -> NaturalVariation:
    return estimate(values, np.full(values.shape, ROWS), np.zeros(values.shape[1], dtype=int))


def last(values: Array, count: int) -> Windows:
    some = values[:, -count:]
    return Windows(some, np.full(some.shape, 1 / ROWS), np.zeros(count, dtype=int))


@pytest.mark.parametrize(("correlation", "scale"), [(0.0, 0.0), (0.5, 1.0), (0.8, 4.0), (0.0, 10.0)])
def test_small_p_values_are_as_rare_as_they_say(correlation: float, scale: float) -> None:
    """Of three looks and forty figures, p-values below a level are no oftener than that."""
    level, found = 0.02, []
    for seed in range(25):
        values = history(seed, 40, 60 + 35, correlation=correlation, scale=scale)
        variation = estimated(values[:, :60])
        for windows, weights in ((1, "together"), (7, "together"), (8, "sudden")):
            seen = last(values, windows)
            found.append(variation.p_values(seen, getattr(variation, weights)(seen))[0] < level)
    by_history = np.array(found).reshape(25, 3, 40).mean(axis=2)
    share, error = by_history.mean(axis=0), by_history.std(axis=0, ddof=1) / 5
    assert (share <= level + 2 * error).all()
    assert (error < level / 2).all()


@QUICK
@given(seed=st.integers(0, 999), shift=st.floats(0.001, 0.3), span=st.sampled_from([1, 7]))
def test_a_p_value_falls_as_a_difference_grows_and_knows_no_direction(
    seed: int, shift: float, span: int
) -> None:
    variation = estimated(history(seed, 3, 30))
    at_mean = np.repeat(variation.expected, span, axis=1)

    def p(by: float) -> Array:
        seen = last(at_mean + by, span)
        return variation.p_values(seen, variation.together(seen))[0]

    np.testing.assert_allclose(p(shift), p(-shift), rtol=1e-6)
    assert (p(1.5 * shift) <= p(shift)).all()
    assert (p(0) == 1).all()


def test_windows_that_differ_are_expected_to_differ() -> None:
    calm, restless = (estimated(history(0, 20, 60, scale=scale)) for scale in (0.0, 10.0))
    seen = last(np.full((20, 1), 6 * ROWS**-0.5), 1)
    of_calm, of_restless = (each.p_values(seen, each.together(seen))[0].max() for each in (calm, restless))
    assert of_calm < 1e-4 < 1e-2 < of_restless


def test_a_pattern_is_expected_where_there_is_one_and_not_where_there_is_none() -> None:
    phases = np.arange(56) % 7
    rows = np.full((2, 56), ROWS)
    pattern = np.array([0, 0, 0, 0, 0, 1, 1]) * 0.5
    values = history(0, 2, 56)
    values[0] += pattern[phases]
    variation = estimate(values, rows, phases)
    apart = np.ptp(variation.expected, axis=1)
    assert apart[0] == pytest.approx(0.5, abs=0.05)
    assert apart[1] < 0.03
    saturday = Windows(np.full((2, 1), 0.5), np.full((2, 1), 1 / ROWS), np.array([5]))
    p_values, _ = variation.p_values(saturday, variation.together(saturday))
    assert p_values[0] > 0.05
    assert p_values[1] < 1e-6


def test_the_last_window_is_told_from_what_those_before_had_it_expected_to_be() -> None:
    variation = estimated(history(1, 30, 120, correlation=0.9, scale=30))
    level = np.full((30, 8), 5 * ROWS**-0.5)
    level[:, -1] = -5 * ROWS**-0.5
    alone, told = last(level, 1), last(level, 8)
    of_alone, _ = variation.p_values(alone, variation.together(alone))
    of_told, _ = variation.p_values(told, variation.sudden(told))
    assert np.median(of_told) < 0.01 < np.median(of_alone)


def test_where_windows_do_not_resemble_each_other_what_is_sudden_is_the_last_window_itself() -> None:
    variation = estimated(history(2, 200, 120))
    seen = last(history(3, 200, 8), 8)
    weights = variation.sudden(seen)
    assert np.abs(weights[:, :-1]).max() < 0.1
    assert (weights[:, -1] == 1).all()


def test_one_far_window_in_a_history_makes_the_next_one_tell_less() -> None:
    """Holidays."""
    calm = history(4, 20, 60)
    with_holidays = calm.copy()
    with_holidays[:, [10, 31, 47]] += 10 * ROWS**-0.5
    seen = last(np.full((20, 1), 6 * ROWS**-0.5), 1)
    p_values = [
        np.median(each.p_values(seen, each.together(seen))[0])
        for each in (estimated(calm), estimated(with_holidays))
    ]
    assert p_values[0] < 1e-4
    assert p_values[1] > 30 * p_values[0]


def test_windows_without_rows_are_not_known_of_and_do_no_harm() -> None:
    values = history(5, 4, 40)
    values[0] = np.nan
    values[1, ::2] = np.nan
    variation = estimated(values)
    seen = last(np.where([[True], [True], [True], [False]], 0.5, np.nan), 1)
    noise = np.where(np.isnan(seen.means), np.inf, seen.noise)
    seen = Windows(seen.means, noise, seen.phases)
    p_values, effects = variation.p_values(seen, variation.together(seen))
    assert np.isnan(p_values).tolist() == [True, False, False, True]
    assert (effects[[0, 3]] == 0).all()
    assert (p_values[1:3] < 1e-4).all()


@QUICK
@given(
    fit=arrays(float, st.tuples(st.integers(1, 8), st.integers(2, 6)), elements=st.floats(-50, 50)),
    by=st.floats(-100, 100),
    data=st.data(),
)
def test_models_are_as_probable_however_a_likelihood_is_scaled_and_series_are_ordered(
    fit: Array, by: float, data: st.DataObject
) -> None:
    telling = np.ones(len(fit), dtype=bool)
    found = posterior(fit, telling)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    np.testing.assert_allclose(posterior(fit + by, telling), found, rtol=1e-6, atol=1e-12)
    order = data.draw(st.permutations(range(len(fit))))
    np.testing.assert_allclose(posterior(fit[order], telling), found[order], rtol=1e-6, atol=1e-12)


def test_a_series_that_tells_nothing_is_believed_to_be_what_the_others_are() -> None:
    fit = np.zeros((20, 3))
    fit[1:, 2] = 10
    assert posterior(fit, np.ones(20, dtype=bool))[0, 2] > 0.8
    alone = posterior(fit[:1], np.ones(1, dtype=bool))[0]
    assert alone[0] == pytest.approx(0.5)


@QUICK
@given(windows=sizes, seed=st.integers(0, 999))
def test_variances_and_periodograms_are_those_of_the_covariance(windows: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    models = Models.up_to(windows, 4.0).only(np.arange(5))
    lags = np.abs(np.subtract.outer(np.arange(windows), np.arange(windows)))
    covariance = models.covariances(windows)[:, lags]
    weights = generator.normal(size=(3, windows))
    expected = np.einsum("sw,mwv,sv->sm", weights, covariance, weights)
    np.testing.assert_allclose(models.variances(weights), expected, atol=1e-9)
    attention = generator.uniform(0.5, 1.5, windows)
    attention /= (attention**2).mean() ** 0.5
    waves = np.exp(-2j * np.pi * np.outer(np.arange(1, windows // 2 + 1), np.arange(windows)) / windows)
    seen = waves * attention
    power = np.einsum("fw,mwv,fv->mf", seen, covariance, seen.conj()).real / windows
    np.testing.assert_allclose(models.periodograms(attention), 1 + power, atol=1e-9)


@QUICK
@given(windows=st.integers(8, 200), scale=st.floats(1, 1e4))
def test_models_reach_from_chance_alone_to_more_than_is_asked_for(windows: int, scale: float) -> None:
    models = Models.up_to(windows, scale)
    variance = models.slow + models.fast
    assert variance[0] == 0
    assert (variance[1:] > 0).all()
    assert variance.max() >= scale
    assert (np.concatenate([models.slow_correlation, models.fast_correlation]) < 1).all()


@QUICK
@given(
    noise=arrays(float, st.tuples(sizes, sizes), elements=st.sampled_from([0.001, 0.01, 1.0, np.inf])),
    variance=st.floats(0, 10),
)
def test_weights_sum_to_one_over_what_is_known(noise: Array, variance: float) -> None:
    weights = precise(np.full(len(noise), variance), noise)
    known = np.isfinite(noise).any(axis=1)
    np.testing.assert_allclose(weights.sum(axis=1), known.astype(float))
    assert (weights[~np.isfinite(noise)] == 0).all()


def test_a_history_of_fewer_than_eight_windows_is_an_error() -> None:
    with pytest.raises(ValueError, match="7 windows; a history needs 8"):
        estimated(history(0, 2, 7))
