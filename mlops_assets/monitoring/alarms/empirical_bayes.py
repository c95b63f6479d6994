"""How probable each of several models is for each of many like series, whose own evidence is thin.

What fits all of them tells what to expect of one: prior probabilities of the models are estimated from all
series together, by maximum likelihood but for the weight of one series that knows nothing (Robbins, "An
empirical Bayes approach to statistics", 1956; Laird, "Nonparametric maximum likelihood estimation of a mixing
distribution", 1978). The first model is the simplest, and as probable beforehand as all others together
(Mitchell and Beauchamp, "Bayesian variable selection in linear regression", 1988).
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# Dempster, Laird and Rubin's algorithm (1977) is stopped early: what it still gains are fits to chance.
_ROUNDS = 30


def posterior(fit: "Array", telling: "Array") -> "Array":
    """Return the probability of each model for each series; shape (series, models).

    Args:
        fit: Logarithm of the likelihood; shape (series, models). The first model is the simplest.
        telling: Whether the others learn from a series; shape (series,).
    """
    import numpy as np

    likelihood = np.exp(fit - fit.max(axis=1, keepdims=True))
    others = likelihood.shape[1] - 1
    nothing_known = np.full(others + 1, 0.5 / max(others, 1))
    nothing_known[0] = 0.5
    prior, learnt_from = nothing_known, likelihood[telling]
    for _ in range(_ROUNDS):
        shares = prior / (learnt_from @ prior)[:, None]
        prior = ((learnt_from * shares).sum(axis=0) + nothing_known) / (len(learnt_from) + 1)
    found: Array = likelihood * prior
    found /= found.sum(axis=1, keepdims=True)
    return found
