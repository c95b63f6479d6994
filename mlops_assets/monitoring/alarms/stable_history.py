"""What a stable history tells of natural variation.

First a pattern by weekday or hour is taken out, then models of what is left are weighed by its periodogram
(:mod:`mlops_assets.monitoring.alarms.variation_models`), and last it is told how heavy its tails are.
"""

from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.alarms.empirical_bayes import posterior
from mlops_assets.monitoring.alarms.natural_variation import (
    FEWEST_WINDOWS,
    TAILS,
    NaturalVariation,
    precise,
)
from mlops_assets.monitoring.alarms.variation_models import Models

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# A pattern needs so many cycles to be told from chance.
_FEWEST_CYCLES = 4
# Models that no figure holds for as probable as this make no difference.
_NEGLIGIBLE = 1e-9
# A figure that varies less than that by chance alone, as a share of hardly any cases does, tells nothing.
_SURELY_LESS = 0.999


def estimate(figures: "Array", rows: "Array", phases: "Array") -> NaturalVariation:
    """Return what a stable history tells.

    Args:
        figures: Means of windows whose variance by chance is one over the rows; shape (figures, windows), in
            order of time, NaN where there were too few rows.
        rows: Number of rows of each; shape (figures, windows).
        phases: Phase of each window in a pattern that repeats, from 0; shape (windows,).

    Raises:
        ValueError: There are fewer than :data:`FEWEST_WINDOWS` windows.
    """
    import numpy as np
    from scipy.special import chdtri

    windows = figures.shape[1]
    if windows < FEWEST_WINDOWS:
        raise ValueError(f"{windows} windows; a history needs {FEWEST_WINDOWS}")
    there = np.isfinite(figures)
    noise = np.where(there, 1 / np.maximum(rows, 1), np.inf)
    pattern, believed = _pattern(figures, phases)
    values = np.where(there, figures - pattern[:, phases], 0.0)
    attention = _attention(noise)
    power, scale = _periodograms(values, noise, attention)
    counted = _frequencies(windows, pattern.shape[1] if believed.any() else 1)
    strength = power @ counted / counted.sum()
    models = Models.up_to(windows, float(strength.max(initial=1.0)))
    usual = models.periodograms(attention)
    freedom = 2 * counted.sum()
    telling = strength >= chdtri(freedom, _SURELY_LESS) / freedom
    probable = posterior(-np.log(usual) @ counted - (power * counted) @ (1 / usual).T, telling)
    matters = probable.max(axis=0) > _NEGLIGIBLE
    models, probable = models.only(matters), probable[:, matters]
    alike = probable @ models.covariances(2) * scale[:, None]
    weights = precise(alike[:, 0], noise)
    mean = (weights * values).sum(axis=1)
    by_chance = (weights**2 * np.where(there, noise, 0)).sum(axis=1)
    of_window = alike[:, :1] + np.where(there, noise, 0)
    of_phase = np.eye(pattern.shape[1])[phases]
    times = np.maximum(there @ of_phase, 1)
    off = np.where(there, values - mean[:, None], 0) / np.sqrt(of_window)
    fit = _fit_of_tails(off, there, alike[:, 1] / (alike[:, 0] + scale))
    return NaturalVariation(
        expected=mean[:, None] + pattern,
        known=there.sum(axis=1) >= FEWEST_WINDOWS,
        scale=scale,
        models=models,
        probable=probable,
        of_mean=by_chance[:, None] + models.variances(weights) * scale[:, None],
        of_pattern=believed[:, None] * ((there * of_window) @ of_phase) / times**2,
        tails=posterior(fit * telling[:, None], telling)[:, 1:],
    )


def _pattern(figures: "Array", phases: "Array") -> "tuple[Array, Array]":
    """Return by how much each phase differs, and how much of that is believed.

    Differences that chance explains are not believed (James and Stein, "Estimation with quadratic loss",
    1961, in the form for groups: one minus one over F, not below zero).

    Returns:
        Shapes (figures, phases) and (figures,).
    """
    import numpy as np

    there, count = np.isfinite(figures), int(phases.max()) + 1
    if count == 1 or len(phases) < _FEWEST_CYCLES * count:
        return np.zeros((len(figures), count)), np.zeros(len(figures))
    values, of_phase = np.where(there, figures, 0.0), np.eye(count)[phases]
    every, times = there.sum(axis=1), there @ of_phase
    mean = values.sum(axis=1) / np.maximum(every, 1)
    apart = np.where(times > 0, values @ of_phase / np.maximum(times, 1) - mean[:, None], 0.0)
    between = (times * apart**2).sum(axis=1) / (count - 1)
    inside = np.where(there, figures - mean[:, None] - apart[:, phases], 0.0)
    within = (inside**2).sum(axis=1) / np.maximum(every - count, 1)
    believed = np.clip(1 - within / np.maximum(between, 1e-300), 0, 1)
    return believed[:, None] * apart, believed


def _attention(noise: "Array") -> "Array":
    """Return how much each window is to tell of natural variation: the more the more rows it has."""
    import numpy as np

    of_window = np.full(noise.shape[1], np.inf)
    seen = np.isfinite(noise).any(axis=0)
    masked = np.where(np.isfinite(noise), noise, np.nan)[:, seen]
    of_window[seen] = np.nanmedian(masked, axis=0) if seen.any() else np.empty(0)
    usual = np.median(of_window[seen]) if seen.any() else 1.0
    found: Array = 1 / (1 + of_window / usual)
    found /= max(np.sqrt((found**2).mean()), 1e-300)
    return found


def _periodograms(values: "Array", noise: "Array", attention: "Array") -> "tuple[Array, Array]":
    """Return the power at each frequency over what chance is expected to have there, and the latter.

    Returns:
        Shapes (figures, frequencies) and (figures,).
    """
    import numpy as np

    there = np.isfinite(noise)
    seen = there * attention**2
    whole = np.maximum(seen.sum(axis=1), 1e-300)
    scale = (seen * np.where(there, noise, 0)).sum(axis=1) / whole
    scale = np.where(scale > 0, scale, 1.0)
    mean = (seen * values).sum(axis=1) / whole
    spectrum = np.fft.rfft(there * (values - mean[:, None]) * attention, axis=1)[:, 1:]
    power: Array = np.abs(spectrum) ** 2 / (whole * scale)[:, None]
    return power, scale


def _frequencies(windows: int, phases: int) -> "Array":
    """Return how much each frequency counts: not at all those of a pattern, which is taken out before."""
    import numpy as np

    counted = np.ones(windows // 2)
    if windows % 2 == 0:
        counted[-1] = 0.5
    of_pattern = np.round(np.arange(1, phases // 2 + 1) * windows / phases).astype(int)
    counted[of_pattern[of_pattern <= len(counted)] - 1] = 0.0
    return counted


def _fit_of_tails(off: "Array", there: "Array", following: "Array") -> "Array":
    """Return the logarithm of the likelihood of normal and of Student's distributions of variance 1.

    Args:
        off: Differences in standard deviations; shape (figures, windows).
        there: Which are known; shape (figures, windows).
        following: Autocorrelation, which is taken out; shape (figures,).

    Returns:
        Shape (figures, 1 + tails).
    """
    import numpy as np
    from scipy.special import gammaln

    pairs = there[:, 1:] & there[:, :-1]
    squares = (off[:, 1:] - following[:, None] * off[:, :-1]) ** 2 / (1 - following[:, None] ** 2)
    squares = np.where(pairs, squares, 0.0)
    fits = [-(squares + np.log(2 * np.pi) * pairs).sum(axis=1) / 2]
    for degrees in TAILS:
        constant = gammaln((degrees + 1) / 2) - gammaln(degrees / 2) - np.log(np.pi * (degrees - 2)) / 2
        fit = constant * pairs - (degrees + 1) / 2 * np.log1p(squares / (degrees - 2))
        fits.append(fit.sum(axis=1))
    return np.column_stack(fits)
