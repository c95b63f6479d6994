"""Ways in which windows of a stable stream may differ beyond chance: by what lasts, and by what does not.

Each is a sum of two first-order autoregressions, of a slow one and of a fast one. A series is held against
them by its periodogram (Whittle, "Estimation and information in stationary time series", 1953), and that
against what is to be expected of one as short (Sykulski, Olhede, Guillaumin, Lilly and Early, "The debiased
Whittle likelihood", 2019).
"""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# A ladder for each property, fine enough that a series between two rungs is described by both.
_LENGTHS = 2.5
_SCALES = 2.0
_LEAST_SCALE = 1 / 16
_SLOW_SHARES = (1.0, 0.8, 0.5, 0.2, 0.0)
_FAST_LENGTHS = (0.0, 1.0)


@dataclass(frozen=True)
class Models:
    """Models of how windows vary, in units of their mean variance by chance; all of shape (models,).

    Attributes:
        slow: Variance of the slow autoregression.
        slow_correlation: Its autocorrelation from window to window.
        fast: Variance of the fast one.
        fast_correlation: Its autocorrelation.
    """

    slow: "Array"
    slow_correlation: "Array"
    fast: "Array"
    fast_correlation: "Array"

    @classmethod
    def up_to(cls, windows: int, scale: float) -> "Models":
        """Return models for a series of so many windows; the first has chance alone.

        Args:
            windows: What lasts much longer than the series looks like a level of its own.
            scale: Of the greatest variance beyond chance that is to be described; at least 1.
        """
        import numpy as np

        lengths = _LENGTHS ** np.arange(int(np.log(1.6 * windows) / np.log(_LENGTHS)) + 1)
        scales = _LEAST_SCALE * _SCALES ** np.arange(int(np.log(scale / _LEAST_SCALE) / np.log(_SCALES)) + 3)
        found = {
            (scale * share, _lasting(length) if share else 0.0, scale * (1 - share), _lasting(brief))
            for scale in scales
            for length in lengths
            for share in _SLOW_SHARES
            for brief in (_FAST_LENGTHS if share < 1 else (0.0,))
            if brief < length
        }
        return cls(*np.array([(0.0, 0.0, 0.0, 0.0), *sorted(found)]).T)

    def only(self, wanted: "Array") -> "Models":
        """Return those that are wanted; bool, shape (models,)."""
        return Models(*(getattr(self, field.name)[wanted] for field in fields(self)))

    def covariances(self, windows: int) -> "Array":
        """Return the covariance of windows that lie 0, 1, ... apart; shape (models, windows)."""
        import numpy as np

        apart = np.arange(windows)
        slow = self.slow[:, None] * self.slow_correlation[:, None] ** apart
        found: Array = slow + self.fast[:, None] * self.fast_correlation[:, None] ** apart
        return found

    def variances(self, weights: "Array") -> "Array":
        """Return the variance of weighted sums of windows.

        Args:
            weights: Of successive windows; shape (sums, windows).

        Returns:
            Shape (sums, models).
        """
        return _products(weights) @ self.covariances(weights.shape[1]).T

    def periodograms(self, attention: "Array") -> "Array":
        """Return the expected periodogram, chance and all; shape (models, frequencies).

        Args:
            attention: What each window was multiplied by; shape (windows,). Its mean square is 1.
        """
        import numpy as np

        products = _products(attention[None, :])[0] / len(attention)
        found: Array = np.fft.rfft(products * self.covariances(len(attention)), axis=1).real[:, 1:]
        return 1 + np.maximum(found, 0)


def _lasting(windows: float) -> float:
    """Return the autocorrelation of what lasts for so many windows."""
    import math

    return math.exp(-1 / windows) if windows else 0.0


def _products(weights: "Array") -> "Array":
    """Return the sums of products of weights that lie 0, 1, ... windows apart, on either side of each."""
    import numpy as np

    windows = weights.shape[1]
    spectrum = np.fft.rfft(weights, 2 * windows, axis=1)
    found: Array = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :windows]
    found[:, 1:] *= 2
    return found
