"""How much figures of a window differ from window to window while nothing is wrong.

A window's mean differs from the long-run mean by chance, since it has finitely many rows, and because
windows differ: weekdays, weather, campaigns. The first is known. The second is told by the windows of a
stable history (:mod:`mlops_assets.monitoring.alarms.stable_history`), as a weekly or daily pattern and what
is left of each window, of which some lasts.

Histories are short: what a figure's own windows leave open, those of the model's other figures help to tell
(:mod:`mlops_assets.monitoring.alarms.empirical_bayes`). Nothing is decided that stays doubtful. A figure's
p-value is the mean over all models of natural variation, each as probable as the history makes it, so that a
history which may hide a slow swing makes long calm stretches tell less.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.alarms.variation_models import Models

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FEWEST_WINDOWS = 8
# Student's t with so many degrees of freedom: how far single windows may lie off.
TAILS = (8.0, 5.0, 3.5)
_UNKNOWN = 1e9


@dataclass(frozen=True)
class Windows:
    """Some successive windows.

    Attributes:
        means: The figures; shape (figures, windows), NaN where there were too few rows.
        noise: Their variance by chance; of the same shape.
        phases: The phase of each window of the history's length that they consist of, ``length`` for each;
            shape (windows * length,).
    """

    means: "Array"
    noise: "Array"
    phases: "Array"

    @property
    def length(self) -> int:
        """Of how many windows of the history's length each consists."""
        return int(len(self.phases) // self.means.shape[1])


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
        tails: How probable each of :data:`TAILS` is; normal tails have the rest; shape (figures, tails).
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
        return precise(self._covariances(1, windows.length)[:, 0], windows.noise)

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

    def p_values(
        self, windows: Windows, weights: "Array", least_effect: float = 0.0
    ) -> "tuple[Array, Array]":
        """Return how probable weighted sums of windows are while nothing is wrong, and how far they are off.

        What is off by no more than ``least_effect`` counts as nothing wrong, so that what is told is that it
        is off by more, and not that it is off at all and seems to be by more (Murphy and Myors, "Testing the
        hypothesis that treatments have negligible effects", Journal of Applied Psychology 84, 1999).

        Args:
            windows: The windows.
            weights: Shape (figures, windows).
            least_effect: What matters, in standard deviations of a row.

        Returns:
            Two-sided p-values, NaN of what is not known, and differences, 0 of it; shape (figures,) both.
        """
        import numpy as np
        from scipy.special import ndtr

        there = np.isfinite(windows.noise)
        noise = np.where(there, windows.noise, 0)
        usual = self.expected[:, windows.phases].reshape(*windows.means.shape, -1).mean(axis=2)
        effects = (weights * np.where(there, windows.means - usual, 0)).sum(axis=1)
        each = np.repeat(weights / windows.length, windows.length, axis=1)
        of_phase = each @ np.eye(self.expected.shape[1])[windows.phases]
        whole = of_phase.sum(axis=1, keepdims=True)
        of_pattern = ((of_phase - whole / of_phase.shape[1]) ** 2 * self.of_pattern).sum(axis=1)
        variances = self.models.variances(each)
        variances *= self.scale[:, None]
        variances += whole**2 * self.of_mean
        variances += np.maximum((weights**2 * noise).sum(axis=1) + of_pattern, 1e-300)[:, None]
        usually = np.einsum("fm,fm->f", self.probable, variances)
        beyond = np.maximum(np.abs(effects) - least_effect, 0)
        apart = -beyond[:, None] / np.sqrt(variances)
        found = 2 * np.einsum("fm,fm->f", self.probable, ndtr(apart))
        single = self._covariances(1, windows.length)[:, 0]
        single += (weights**2 * noise).sum(axis=1) / np.maximum((weights**2).sum(axis=1), 1e-300)
        found += self._by_jumps(beyond / np.sqrt(usually), whole[:, 0] ** 2 * single / usually)
        known = self.known & (there & (weights != 0)).any(axis=1)
        return np.where(known, np.minimum(found, 1.0), np.nan), np.where(known, effects, 0.0)

    def _by_jumps(self, deviations: "Array", terms: "Array") -> "Array":
        """Return how probable it is that a sum of windows is far off since one of them is.

        A sum of heavy-tailed terms is great since one of them is (Embrechts, Klüppelberg and Mikosch,
        "Modelling extremal events", 1997, section 1.3).

        Args:
            deviations: By how many standard deviations the sum is off; shape (figures,).
            terms: How many independent windows would have an average of the sum's variance; what is told
                of the last window by those before it is one; shape (figures,).
        """
        import numpy as np
        from scipy.special import stdtr

        degrees, terms = np.array(TAILS), np.maximum(terms, 1)
        jumps = np.abs(deviations) * np.sqrt(terms)
        far = stdtr(degrees, -jumps[:, None] * np.sqrt(degrees / (degrees - 2)))
        found: Array = 2 * terms * (self.tails * far).sum(axis=1)
        return found

    def _covariances(self, windows: int, length: int) -> "Array":
        """Return the covariance of windows of such a length that lie 0, 1, ... apart; (figures, windows)."""
        import numpy as np

        single = self.probable @ self.models.covariances(windows * length) * self.scale[:, None]
        if length == 1:
            return single
        both = np.concatenate([single[:, :0:-1], single], axis=1)
        pairs = np.convolve(np.ones(length), np.ones(length)) / length**2
        first = windows * length - length  # lag of 1 - length
        starts = first + length * np.arange(windows)
        return np.stack([both[:, at : at + len(pairs)] @ pairs for at in starts], axis=1)


def precise(variance: "Array", noise: "Array") -> "Array":
    """Return weights that sum to 1, by the precision of each window; all 0 where nothing is known."""
    import numpy as np

    precision = 1 / np.maximum(variance[:, None] + noise, 1e-300)
    found: Array = precision / np.maximum(precision.sum(axis=1, keepdims=True), 1e-300)
    return found
