"""What was expected of a challenger before it was compared, weighed together with what the comparison shows.

Both are normal distributions of one gain: the logarithm of the champion's loss over the challenger's.
Together they are the normal distribution whose mean is theirs, each weighed by its precision.

Source: Gelman, Carlin, Stern, Dunson, Vehtari and Rubin, "Bayesian Data Analysis", 3rd edition (2013),
section 2.5 (a normal mean with known variance).
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Expectation:
    """What a training was expected to gain.

    Attributes:
        mean: The gain, as a logarithm of losses; see the module.
        deviation: Its standard deviation.
        basis: What it rests on, for people.
    """

    mean: float
    deviation: float
    basis: str = ""


@dataclass(frozen=True)
class ShownGain:
    """What common rows show of a gain.

    Attributes:
        gain: As a logarithm of losses; see the module.
        error: Its standard error; 0 or NaN where it is not known.
        margin: The gain that must be exceeded, as a logarithm of losses.
    """

    gain: float
    error: float
    margin: float = 0.0

    def probability_with(self, expected: Expectation) -> float | None:
        """Return how probable it is that a challenger gains more than the margin; None if not known.

        One that does not on the rows themselves has a probability of 0, whatever was expected of it.
        """
        if not (self.error > 0 and expected.deviation > 0):
            return None
        if not self.gain > self.margin:
            return 0.0
        rows, before = self.error**-2, expected.deviation**-2
        mean = (rows * self.gain + before * expected.mean) / (rows + before)
        return _normal((mean - self.margin) * math.sqrt(rows + before))


def _normal(value: float) -> float:
    """Return the standard normal distribution function."""
    return math.erfc(-value / math.sqrt(2)) / 2
