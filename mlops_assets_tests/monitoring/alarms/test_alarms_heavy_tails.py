"""Days that differ little as a rule, and a few of them much: such days are expected to come again."""

from typing import Any

import numpy as np
import pytest

from mlops_assets.monitoring.alarms.natural_variation import NaturalVariation, Windows
from mlops_assets.monitoring.alarms.stable_history import estimate

Array = np.ndarray[Any, Any]
ROWS, HISTORY = 1000, 60


def drawn(seed: int, degrees: float, windows: int, scales: Array) -> Array:
    """Return figures whose days differ, beyond chance, by Student's t of so many degrees times a scale."""
    generator = np.random.default_rng(seed)
    days = generator.standard_t(degrees, (len(scales), windows)) * ((degrees - 2) / degrees) ** 0.5
    chance = generator.standard_normal(days.shape)
    found: Array = (days * scales[:, None] ** 0.5 + chance) * ROWS**-0.5
    return found


def estimated(values: Array) -> NaturalVariation:
    return estimate(values, np.full(values.shape, ROWS), np.zeros(values.shape[1], dtype=int))


def p_values(variation: NaturalVariation, values: Array) -> Array:
    """Return those of each window by itself."""
    found = []
    for window in values.T:
        seen = Windows(window[:, None], np.full((len(window), 1), 1 / ROWS), np.zeros(1, dtype=int))
        found.append(variation.p_values(seen, variation.together(seen))[0])
    return np.array(found)


@pytest.mark.parametrize("degrees", [3.0, 100.0])
def test_far_days_are_as_rare_as_their_p_values_say_whether_days_are_heavy_tailed_or_not(
    degrees: float,
) -> None:
    """Half of the figures differ mostly by chance, and half hardly by chance."""
    level, shares = 1e-3, []
    scales = np.repeat([0.25, 10.0], 20)
    for seed in range(20):
        values = drawn(seed, degrees, HISTORY + 40, scales)
        shares.append((p_values(estimated(values[:, :HISTORY]), values[:, HISTORY:]) < level).mean())
    error = np.std(shares, ddof=1) / len(shares) ** 0.5
    assert np.mean(shares) <= level + 2 * error
    # An error bar that holds any share would make this a check that cannot fail.
    assert error < level / 2


def test_a_figure_that_hardly_varies_is_as_heavy_tailed_as_the_others_of_its_model() -> None:
    """Its own history, all but chance, does not show it."""
    scales = np.array([0.25] + [10.0] * 30)
    heavy, light = (drawn(1, degrees, HISTORY, scales) for degrees in (3.0, 100.0))
    # What it looks like itself is the same in both.
    heavy[0] = light[0]
    far = np.full((len(scales), 1), 7 * ROWS**-0.5)
    of_heavy, of_light = (p_values(estimated(values), far)[0, 0] for values in (heavy, light))
    assert of_light < 1e-4
    assert of_heavy > 20 * of_light


def test_however_far_a_day_of_heavy_tails_is_a_farther_one_is_less_probable() -> None:
    variation = estimated(drawn(2, 3.0, HISTORY, np.full(30, 10.0)))
    by = 3.3 * np.array([5.0, 10.0, 20.0, 40.0, 80.0]) * ROWS**-0.5
    found = np.median(p_values(variation, variation.expected + by), axis=1)
    # By a power of how far it is, as that of Student's t is, and not by its exponential.
    powers = -np.diff(np.log2(found))
    assert (powers > 1.5).all()
    assert (powers < 4.5).all()
