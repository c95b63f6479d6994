"""How much figures of a window differ from window to window while nothing is wrong.

A window's mean differs from the long-run mean by chance, since it has finitely many rows, and because windows
differ: weekdays, weather, campaigns. The first is known. The second is estimated from the windows of a stable
history, as a weekly or daily pattern and what is left of each window, which resembles that of the window
before: a first-order autoregression.

Histories are short, so no figure is judged by its own estimates alone. Variances are moderated across all
figures of a model (Smyth, "Linear models and empirical Bayes methods", 2004), autocorrelations likewise, and
these are taken at the upper end of what is likely, as an autocorrelation that is taken too low makes a long
calm stretch look like a shift. Means of several windows vary less than those of one, by as much as the
autocorrelation lets them (Priestley, "Spectral Analysis and Time Series", 1981, section 5.3.2).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FEWEST_WINDOWS = 8
# A span is judged well by a history of so many times its length.
LONGEST = 8
# A pattern needs so many cycles to be told from chance.
_FEWEST_CYCLES = 4
_MOST_CORRELATED = 0.98
# Below so many independent windows' worth of history hardly anything can be told from it.
_TELLING = 3.0
_MANY = 1e6


@dataclass(frozen=True)
class NaturalVariation:
    """What is to be expected of the figures of windows.

    Attributes:
        expected: Mean of each figure by phase; shape (figures, phases).
        known_to: Variance of that mean but for chance, as a share of ``variance``; shape (figures,).
        chance: Variance of that mean by chance; shape (figures,).
        variance: Variance between windows beyond chance; shape (figures,).
        correlation: Its autocorrelation from window to window, at the upper end; shape (figures,).
        freedom: Degrees of freedom of the variance; shape (figures,).
        own_freedom: Of these, those that are the figure's own; shape (figures,).
        noise: Mean variance by chance of the history's windows; shape (figures,).
        windows: How many windows there are of each; shape (figures,).
    """

    expected: "Array"
    known_to: "Array"
    chance: "Array"
    variance: "Array"
    correlation: "Array"
    freedom: "Array"
    own_freedom: "Array"
    noise: "Array"
    windows: "Array"

    def p_values(self, figures: "Array", noise: "Array", span: int, phases: "Array") -> "Array":
        """Return for each figure how probable it is that one differs as much while nothing is wrong.

        Args:
            figures: Means over a span of windows; shape (figures,). NaN where there were too few rows.
            noise: Their variance by chance alone; shape (figures,).
            span: How many windows of the history's length the span has.
            phases: The phase of each of these windows; shape (windows,).

        Returns:
            Two-sided p-values; 1 for NaN.
        """
        import numpy as np
        from scipy.special import stdtr

        natural = self.variance * (variance_of_mean(self.correlation, span) + self.known_to)
        total = natural + noise + self.chance
        # Of a long span there are few in the history, and what figures share does not make them more.
        own = np.maximum(np.minimum(self.own_freedom, 1.5 * self.windows / span), 1)
        shared = (self.freedom - self.own_freedom) * np.minimum(self.windows / (LONGEST * span), 1)
        freedom = own + shared
        telling = np.clip((1 / self.known_to - 1) / (_TELLING - 1), 0, 1) ** 2
        freedom = 1 + (freedom - 1) * telling
        estimated = (variance_of_mean(self.correlation, span) + self.known_to) * (self.variance + self.noise)
        with np.errstate(invalid="ignore", divide="ignore"):
            # Only what is estimated is uncertain: the more of the variance is mere chance, the surer it is
            # (Satterthwaite, "An approximate distribution of estimates of variance components", 1946).
            surer = np.minimum(freedom * np.maximum((total / estimated) ** 2, 1), _MANY)
            apart = np.abs(figures - self.expected[:, phases].mean(axis=1)) / np.sqrt(total)
        found = 2 * stdtr(surer, -apart)
        return np.where(np.isnan(found), 1.0, np.minimum(found, 1.0))


def variance_of_mean(correlation: "Array", span: int) -> "Array":
    """Return the variance of the mean of so many windows, as a share of that of one.

    Args:
        correlation: Autocorrelation from window to window; shape (figures,).
        span: Number of windows.
    """
    import numpy as np

    lags = np.arange(1, span)
    weights = (1 - lags / span)[:, None] * correlation[None, :] ** lags[:, None]
    shares: Array = (1 + 2 * weights.sum(axis=0)) / span
    return shares


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

    if figures.shape[1] < FEWEST_WINDOWS:
        raise ValueError(f"{figures.shape[1]} windows; a history needs {FEWEST_WINDOWS}")
    there = np.isfinite(figures)
    windows = np.maximum(there.sum(axis=1), 1)
    noise = np.where(there, 1 / np.maximum(rows, 1), 0).sum(axis=1) / windows
    noise = np.where(noise > 0, noise, 1.0)
    expected, pattern_share = _expected(figures, there, phases)
    residual = np.where(there, figures - expected[:, phases], 0.0)
    used = 1 + pattern_share * (expected.shape[1] - 1)  # means that were fitted
    spread = (residual**2).sum(axis=1) / np.maximum(windows - used, 1)
    following = (residual[:, 1:] * residual[:, :-1]).sum(axis=1) / windows
    correlation = _moderated_correlation(spread, following, noise, windows)
    natural_share = np.clip(1 - noise / np.maximum(spread, 1e-300), 0, 1)
    worth = np.maximum(windows * (1 - correlation) / (1 + correlation), 1.0)
    seen = np.clip(correlation * natural_share, 0, _MOST_CORRELATED)
    own = np.maximum(windows * (1 - seen**2) / (1 + seen**2) - used, 1.0)
    ratio, freedom = _moderated_ratio(spread / noise, own)
    return NaturalVariation(
        expected=expected,
        known_to=np.minimum(used / worth, 1.0),
        chance=noise * used / windows,
        # The mean was fitted to the same windows, which makes them look closer to it than they are.
        variance=(ratio - 1) * noise / (1 - 1 / np.maximum(worth, 1.5)),
        correlation=correlation,
        freedom=freedom,
        own_freedom=own,
        noise=noise,
        windows=windows,
    )


def _expected(figures: "Array", there: "Array", phases: "Array") -> "tuple[Array, Array]":
    """Return the mean by phase, and how much of the differences between phases was believed.

    Differences that chance explains are not believed (James and Stein, "Estimation with quadratic loss",
    1961, in the form for groups: one minus one over F, not below zero).
    """
    import numpy as np

    count = int(phases.max()) + 1
    known = np.where(there, figures, 0.0)
    mean = known.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    cycles = there.shape[1] / count
    if count == 1 or cycles < _FEWEST_CYCLES:
        return np.repeat(mean[:, None], count, axis=1), np.zeros(len(mean))
    of_phase = np.eye(count)[phases]
    times = there @ of_phase
    by_phase = np.where(times > 0, (known @ of_phase) / np.maximum(times, 1), mean[:, None])
    between = (times * (by_phase - mean[:, None]) ** 2).sum(axis=1) / (count - 1)
    inside = np.where(there, figures - by_phase[:, phases], 0.0)
    within = (inside**2).sum(axis=1) / np.maximum(there.sum(axis=1) - count, 1)
    believed = np.clip(1 - within / np.maximum(between, 1e-300), 0, 1)
    return mean[:, None] + believed[:, None] * (by_phase - mean[:, None]), believed


def _moderated_correlation(spread: "Array", following: "Array", noise: "Array", windows: "Array") -> "Array":
    """Return the autocorrelation of what is not chance, drawn towards that of all figures, plus its error.

    Estimates from short histories are too low by about (1 + 3 r) / windows (Kendall, "Note on bias in the
    estimation of autocorrelation", 1954). One tells the less the more of the spread is chance.
    """
    import numpy as np

    natural = np.maximum(spread - noise, 0)
    of_all = np.clip(
        (following / noise).sum() / max(float((natural / noise).sum()), 1e-300), 0, _MOST_CORRELATED
    )
    of_all = min(of_all + (1 + 3 * of_all) / float(np.median(windows)), _MOST_CORRELATED)
    natural_share = np.maximum(natural / (natural + noise), 1e-3)
    own = np.where(natural_share > 1e-3, following / np.maximum(natural, 1e-300), of_all)
    own = np.clip(own, -1, 1)
    own = np.clip(own + (1 + 3 * np.maximum(own, 0)) / windows, -1, 1)
    error = (1.05 - of_all**2) / (windows * natural_share**2)
    weights = 1 / error
    differing = max(float((weights * ((own - of_all) ** 2 - error)).sum() / weights.sum()), 0.0)
    drawn = error / (error + differing)
    uncertainty = np.sqrt(differing * drawn + 1 / weights.sum())
    found: Array = np.clip(drawn * of_all + (1 - drawn) * own + uncertainty, 0, _MOST_CORRELATED)
    return found


def _moderated_ratio(ratios: "Array", freedom: "Array") -> "tuple[Array, Array]":
    """Return variances over what chance alone would make of them, at least 1, and their degrees of freedom.

    Each is drawn towards that of all figures, as strongly as these agree (Smyth, 2004, section 6.2).

    Args:
        ratios: Shape (figures,).
        freedom: Degrees of freedom of each; shape (figures,).
    """
    import numpy as np
    from scipy.special import chdtri, digamma, polygamma

    # What varies less than by chance, as a share of nearly none does, tells nothing of the others.
    telling = ratios >= chdtri(freedom, 0.999) / freedom
    logs = (np.log(np.maximum(ratios, 1e-300)) - digamma(freedom / 2) + np.log(freedom / 2))[telling]
    if len(logs) < 2:
        return np.maximum(ratios, 1.0), freedom
    centre = float(logs.mean())
    excess = float(logs.var(ddof=1)) - float(polygamma(1, freedom[telling] / 2).mean())
    if excess <= 0:  # they differ by no more than their estimates would
        return np.full(len(ratios), max(float(np.exp(centre)), 1.0)), freedom + _MANY
    prior = 2 * _inverse_trigamma(excess)
    common = float(np.exp(centre + digamma(prior / 2) - np.log(prior / 2)))
    moderated = (prior * common + freedom * ratios) / (prior + freedom)
    return np.maximum(moderated, 1.0), freedom + prior


def _inverse_trigamma(value: float) -> float:
    """Return where the trigamma function has a value, by Newton's method on its reciprocal."""
    from scipy.special import polygamma

    at = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, at))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, at))
        at += step
        if abs(step) < 1e-8 * at:
            break
    return at
