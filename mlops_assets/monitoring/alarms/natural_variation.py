"""How much figures of a window differ from window to window while nothing is wrong.

A window's mean differs from the long-run mean by chance, since it has finitely many rows, and because windows
differ: weekdays, weather, campaigns. The first is known. The second is told by the windows of a stable history,
as a weekly or daily pattern and what is left of each window, of which some lasts.

Histories are short: what a figure's own windows leave open, those of the model's other figures help to tell
(:mod:`mlops_assets.monitoring.alarms.empirical_bayes`). Nothing is decided that stays doubtful. A figure's
p-value is the mean over all models of natural variation, each as probable as the history makes it, so that a
history which may hide a slow swing makes long calm stretches tell less.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.alarms.empirical_bayes import posterior
from mlops_assets.monitoring.alarms.variation_models import Models

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FEWEST_WINDOWS = 8
# A pattern needs so many cycles to be told from chance.
_FEWEST_CYCLES = 4
# Student's t with so many degrees of freedom: how far single windows may lie off.
_TAILS = (8.0, 5.0, 3.5)
_NEGLIGIBLE = 1e-9
_UNKNOWN = 1e9
# A figure that varies less than that by chance alone, as a share of hardly any cases does, tells nothing.
_SURELY_LESS = 0.999


@dataclass(frozen=True)
class Windows:
    """Some successive windows.

    Attributes:
        means: The figures; shape (figures, windows), NaN where there were too few rows.
        noise: Their variance by chance; of the same shape.
        phases: The phase of each window of the history's length that they consist of; shape (windows * length,).
    """

    means: "Array"
    noise: "Array"
    phases: "Array"

    @property
    def length(self) -> int:
        """Of how many windows of the history's length each consists."""
        return len(self.phases) // self.means.shape[1]


@dataclass(frozen=True)
class NaturalVariation:
    """What is to be expected of the figures of windows.

    Attributes:
        expected: Mean of each figure by phase; shape (figures, phases).
        known: Whether there were enough windows to tell; shape (figures,).
        scale: Mean variance by chance of the history's windows; shape (figures,).
        models: Models of what there is beyond chance, in units of ``scale``.
        probable: How probable each is; shape (figures, models).
        of_mean: Variance of the mean over all phases; shape (figures, models).
        of_pattern: Variance of each phase about that; shape (figures, phases).
        tails: How probable heavy tails are, by their weight; shape (figures, tails).
    """

    expected: "Array"
    known: "Array"
    scale: "Array"
    models: Models
    probable: "Array"
    of_mean: "Array"
    of_pattern: "Array"
    tails: "Array"

    def together(self, windows: Windows) -> "Array":
        """Return weights by which windows are averaged most precisely; shape (figures, windows)."""
        return _precise(self._covariances(1, windows.length)[:, 0], windows.noise)

    def sudden(self, windows: Windows) -> "Array":
        """Return weights that tell the last window from what those before it had it expected to be.

        The best linear prediction (Goldberger, "Best linear unbiased prediction in the generalized linear
        regression model", 1962); where windows do not resemble each other, of the last one alone.
        """
        import numpy as np

        count = windows.means.shape[1]
        covariances = self._covariances(count, windows.length)
        noise = np.minimum(windows.noise, _UNKNOWN * self.scale[:, None])
        apart = np.abs(np.subtract.outer(np.arange(count - 1), np.arange(count - 1)))
        among = covariances[:, apart] + noise[:, :-1, None] * np.eye(count - 1)
        of_last = np.linalg.solve(among, covariances[:, :0:-1, None])[:, :, 0]
        there = np.isfinite(windows.noise[:, -1:])
        return np.concatenate([-of_last * there, there], axis=1)

    def p_values(self, windows: Windows, weights: "Array") -> "tuple[Array, Array]":
        """Return how probable weighted sums of windows are while nothing is wrong, and how far they are off.

        Args:
            windows: The windows.
            weights: Shape (figures, windows).

        Returns:
            Two-sided p-values, 1 of what is not known, and differences, 0 of it; shape (figures,) both.
        """
        import numpy as np
        from scipy.special import ndtr

        there = np.isfinite(windows.noise)
        usual = self.expected[:, windows.phases].reshape(*windows.means.shape, -1).mean(axis=2)
        effects = (weights * np.where(there, windows.means - usual, 0)).sum(axis=1)
        chance = (weights**2 * np.where(there, windows.noise, 0)).sum(axis=1)
        each = np.repeat(weights / windows.length, windows.length, axis=1)
        of_phase = each @ np.eye(self.expected.shape[1])[windows.phases]
        whole = of_phase.sum(axis=1, keepdims=True)
        chance += ((of_phase - whole / of_phase.shape[1]) ** 2 * self.of_pattern).sum(axis=1)
        variances = self.models.variances(each) * self.scale[:, None] + whole**2 * self.of_mean
        variances += np.maximum(chance, 1e-300)[:, None]
        apart = np.abs(effects)[:, None] / np.sqrt(variances)
        usually = (self.probable * variances).sum(axis=1)
        found = 2 * (self.probable * ndtr(-apart)).sum(axis=1)
        found += self._by_jumps(effects, usually, weights, windows)
        known = self.known & (there & (weights != 0)).any(axis=1)
        return np.where(known, np.minimum(found, 1.0), 1.0), np.where(known, effects, 0.0)

    def _by_jumps(self, effects: "Array", usually: "Array", weights: "Array", windows: Windows) -> "Array":
        """Return how probable it is that windows are far off since one is, with those that resemble it.

        A sum of heavy-tailed terms is great since one of them is (Embrechts, Klüppelberg and Mikosch,
        "Modelling extremal events", 1997). The terms are as many as an average of independent windows with
        the sum's usual variance would have.
        """
        import numpy as np
        from scipy.special import stdtr

        whole = np.maximum(np.abs(weights).sum(axis=1), 1e-300)
        noise = (weights**2 * np.where(np.isfinite(windows.noise), windows.noise, 0)).sum(axis=1)
        noise /= np.maximum((weights**2).sum(axis=1), 1e-300)
        single = self._covariances(1, windows.length)[:, 0] + np.maximum(noise, 1e-300)
        terms = np.maximum(whole**2 * single / usually, 1)
        jump = np.abs(effects) / whole * terms / np.sqrt(single)
        degrees = np.array(_TAILS)
        far = stdtr(degrees, -jump[:, None] * np.sqrt(degrees / (degrees - 2)))
        found: Array = 2 * terms * (self.tails * far).sum(axis=1)
        return found

    def _covariances(self, windows: int, length: int) -> "Array":
        """Return how alike windows of such a length are that lie 0, 1, ... apart; shape (figures, windows)."""
        import numpy as np

        single = self.probable @ self.models.covariances(windows * length) * self.scale[:, None]
        if length == 1:
            return single
        both = np.concatenate([single[:, :0:-1], single], axis=1)
        pairs = np.convolve(np.ones(length), np.ones(length)) / length**2
        first = windows * length - length  # lag of 1 - length
        starts = first + length * np.arange(windows)
        return np.stack([both[:, at : at + len(pairs)] @ pairs for at in starts], axis=1)


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
    weights = _precise(alike[:, 0], noise)
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


def _precise(variance: "Array", noise: "Array") -> "Array":
    """Return weights that sum to 1, by the precision of each window; all 0 where nothing is known."""
    import numpy as np

    precision = 1 / np.maximum(variance[:, None] + noise, 1e-300)
    found: Array = precision / np.maximum(precision.sum(axis=1, keepdims=True), 1e-300)
    return found


def _attention(noise: "Array") -> "Array":
    """Return how much each window is to tell of natural variation: the more the more rows it has."""
    import numpy as np

    of_window = np.full(noise.shape[1], np.inf)
    seen = np.isfinite(noise).any(axis=0)
    masked = np.where(np.isfinite(noise), noise, np.nan)[:, seen]
    of_window[seen] = np.nanmedian(masked, axis=0) if seen.any() else np.empty(0)
    usual = np.median(of_window[seen]) if seen.any() else 1.0
    found = 1 / (1 + of_window / usual)
    return found / max(np.sqrt((found**2).mean()), 1e-300)


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
    return np.abs(spectrum) ** 2 / (whole * scale)[:, None], scale


def _frequencies(windows: int, phases: int) -> "Array":
    """Return how much each frequency of a periodogram counts; none of those of a pattern that is taken out."""
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
    for degrees in _TAILS:
        constant = gammaln((degrees + 1) / 2) - gammaln(degrees / 2) - np.log(np.pi * (degrees - 2)) / 2
        fit = constant * pairs - (degrees + 1) / 2 * np.log1p(squares / (degrees - 2))
        fits.append(fit.sum(axis=1))
    return np.column_stack(fits)
