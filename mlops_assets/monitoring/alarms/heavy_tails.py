"""How heavy the tails of windows are: in some, what varies naturally varies by a multiple of what is usual.

Student's t is a mixture of normal distributions whose variances are multiples of each other (Andrews and
Mallows, "Scale mixtures of normal distributions", 1974). So written, only what is natural has heavy tails,
while what is chance adds to it as it is: figures that vary little beyond chance look normal, but may lie as
far off as others once they do. How probable each of a few distributions is for each figure is told by its own
windows and those of the others (:mod:`mlops_assets.monitoring.alarms.empirical_bayes`).
"""

from functools import cache
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.alarms.empirical_bayes import posterior
from mlops_assets.monitoring.alarms.natural_variation import MULTIPLES

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# Degrees of freedom of Student's t beside the normal distribution, and by what over chi-square the usual
# variance is multiplied. It is 1 in the mean; of two degrees, which have none, in most short histories.
_STUDENTS = ((8.0, 6.0), (4.0, 2.0), (2.0, 0.5))
# Where windows hardly differ beyond chance, nothing tells how heavy their tails are, and as much doubt as of
# other models would let a far window of any size pass.
_NORMAL = 0.99
_ALL = (0.25, 1.0, *MULTIPLES)
# Histories are too short to tell the greatest from each other.
_TOLD = 6


def tails(off: "Array", there: "Array", share: "Array", following: "Array", telling: "Array") -> "Array":
    """Return how probable it is that a window's natural variance is so many times the usual one.

    Args:
        off: Differences of windows from their mean, in standard deviations; shape (figures, windows).
        there: Which are known; shape (figures, windows).
        share: How much of their variance is natural; shape (figures, windows).
        following: Autocorrelation, which is taken out; shape (figures,).
        telling: Which figures tell anything: those that vary as much as chance; shape (figures,).

    Returns:
        Shape (figures, multiples), by :data:`MULTIPLES`.
    """
    import numpy as np

    fit = np.zeros((len(off), 1 + len(_STUDENTS)))
    fit[telling] = _fit(off[telling], there[telling], share[telling], following[telling, None])
    found: Array = posterior(fit, telling, _NORMAL) @ _mixtures()
    return found[:, -len(MULTIPLES) :]


def _fit(off: "Array", there: "Array", share: "Array", following: "Array") -> "Array":
    """Return the logarithm of the likelihood of each distribution but for a constant."""
    import numpy as np

    pairs = there[:, 1:] & there[:, :-1]
    fresh = 1 - following**2
    squares = (off[:, 1:] - following * off[:, :-1]) ** 2 / fresh
    by_chance = np.minimum((1 - share[:, 1:] + following**2 * (1 - share[:, :-1])) / fresh, 1)
    natural, halves = 1 - by_chance, -squares / 2
    likelihood = np.zeros((1 + len(_STUDENTS), *squares.shape))
    told = np.add.reduceat(_mixtures(), np.arange(_TOLD), axis=1)
    for multiple, shares in zip(_ALL[:_TOLD], told.T, strict=True):
        precisions = 1 / (by_chance + natural * multiple)
        density = np.exp(halves * precisions) * np.sqrt(precisions)
        for distribution in np.flatnonzero(shares):
            likelihood[distribution] += shares[distribution] * density
    found: Array = (np.log(np.maximum(likelihood, 1e-300)) * pairs).sum(axis=2).T
    return found


@cache
def _mixtures() -> "Array":
    """Return the share that each multiple has of each distribution; shape (distributions, multiples)."""
    import numpy as np
    from scipy.special import chdtr

    multiples = np.array(_ALL)
    between = np.sqrt(multiples[1:] * multiples[:-1])
    of_students = [
        -np.diff(chdtr(degrees, over / between), prepend=1.0, append=0.0) for degrees, over in _STUDENTS
    ]
    return np.array([(multiples == 1).astype(float), *of_students])
