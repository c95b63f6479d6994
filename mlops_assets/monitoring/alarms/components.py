"""What of a column's distribution is followed from window to window: a few figures, each with a meaning.

Numbers are put into classes of a stable history, and each class has a normal score: by ranks and not by
values, so that neither outliers nor heavy tails matter. Of the scores of a window the L-moments are taken:
location, spread, skewness and tails (Hosking, "L-moments: analysis and estimation of distributions using
linear combinations of order statistics", 1990). A window that is merely located elsewhere has the spread it
had, and one that is spread wider the skewness and tails, so that what varies naturally in one respect does
not in the others.

Shares (of a category, of missing values) are taken by the arcsine of their root, whose variance does not
depend on the share (Anscombe, "The transformation of Poisson, binomial and negative-binomial data", 1948),
less what its expectation differs from that of many rows. So every figure has, by chance alone, a variance of
one over the rows, or less where there are hardly any cases to count.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.alarms.seen import Seen
from mlops_assets.monitoring.profiles.column import (
    CategoricalProfile,
    ColumnProfile,
    NumericProfile,
)

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FEWEST_ROWS = 20
# Classes are a fifth of a standard deviation wide, out to where a four-hundredth of the rows are left.
_OUTERMOST, _CLASS_WIDTH = 2.8, 0.2
_CATEGORIES = 12
MISSING, OUT_OF_RANGE, NEW = "missing", "out of range", "new values"
_MOMENTS = {"location": 0.45, "spread": 0.2, "skewness": 0.1, "tails": 0.05}
_RARE = {MISSING: 0.1, OUT_OF_RANGE: 0.1, NEW: 0.1}
# Of so many expected cases and more, the arcsine is as good as unbiased.
_MANY_CASES = 60
_ADDED = 0.375
# Coefficients of the integrals of shifted Legendre polynomials, from the first power of a share on.
_SHIFTED_LEGENDRE = ((-1, 0, 0, 0), (1, -1, 0, 0), (-1, 3, -2, 0), (1, -6, 10, -5))


@dataclass(frozen=True, eq=False)
class Components:
    """The figures of one column: moments of numbers, then shares.

    Attributes:
        names: What each figure tells; of a category, ``= text``.
        weights: How much of the column's attention each gets; they sum to 1.
        shares: What the history's shares were, in the order of their figures; float64.
        seen: What values the history had.
        edges: Upper edges of the classes but the last; float64, shape (classes - 1,).
        mass: Share of the history in each class; float64, shape (classes,).
        categories: Texts that are followed.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...]
    shares: "Array"
    seen: Seen
    edges: "Array"
    mass: "Array"
    categories: tuple[str, ...] = ()

    @classmethod
    def of(cls, history: ColumnProfile) -> "Components":
        """Return the figures to follow of a column with a history."""
        if isinstance(history, NumericProfile):
            return _of_numbers(history)
        return _of_texts(history)

    def figures(self, profile: ColumnProfile, seen: Seen) -> "tuple[Array, Array]":
        """Return the figures of some rows.

        Args:
            profile: Of the same column.
            seen: What values are not new.

        Returns:
            The figures, NaN where there are fewer than :data:`FEWEST_ROWS` rows to tell from, and how many
            rows each is a mean of; shape (figures,) both.
        """
        import numpy as np

        known, every = profile.rows.known, profile.rows.all
        if isinstance(profile, NumericProfile):
            moments, counts = self._moments(profile), []
        else:
            moments, counts = np.empty(0), [profile.categories[text] for text in self.categories]
        if self.seen.texts is not None:
            counts.append(seen.unseen(profile))
        counts.append(every - known)
        rows = np.full(len(self.names), known)
        rows[-1] = every
        shares = arcsines(np.array(counts), rows[len(moments) :], self.shares)
        return np.where(rows >= FEWEST_ROWS, np.concatenate([moments, shares]), np.nan), rows

    @cached_property
    def _l_moments(self) -> "_LMoments":
        return _LMoments.of(self.mass)

    def _moments(self, profile: NumericProfile) -> "Array":
        import numpy as np

        if profile.rows.known < FEWEST_ROWS or not len(self.edges):
            return np.full(min(len(_MOMENTS), len(self.edges)), np.nan)
        below = profile.cells.below(self.edges, side="right")
        return self._l_moments.figures(below, profile.rows.known)


@dataclass(frozen=True, eq=False)
class _LMoments:
    """L-moments of normal scores: those of the history are 0, and by chance they vary by one over the rows.

    Attributes:
        steps: By how much the score of each class exceeds that of the one before; shape (classes - 1,).
        usual: What the history's are before that; shape (moments,).
        deviations: By how much these vary by chance, of a single row; shape (moments,).
    """

    steps: "Array"
    usual: "Array"
    deviations: "Array"

    @classmethod
    def of(cls, mass: "Array") -> "_LMoments":
        """Return those of a history with such shares of the classes; so few classes, so few moments."""
        import numpy as np
        from scipy.special import ndtri

        if len(mass) < 2:
            return cls(np.empty(0), np.empty(0), np.empty(0))
        below = np.cumsum(mass)
        steps = np.diff(ndtri(np.clip(below - mass / 2, 1e-9, 1 - 1e-9)))
        below = below[:-1]
        powers = below ** np.arange(5)[:, None]
        sums = np.array(_SHIFTED_LEGENDRE) @ (powers[1:] @ steps)
        # What a row adds to each, by its class: their derivative by the shares of rows below the steps.
        slopes = (np.array(_SHIFTED_LEGENDRE) * [1, 2, 3, 4]) @ powers[:-1]
        added = (slopes * steps) @ ((np.arange(len(mass)) <= np.arange(len(steps))[:, None]) - below[:, None])
        added[2:] = (added[2:] - np.outer(sums[2:] / sums[1], added[1])) / sums[1]
        told = min(len(_MOMENTS), len(steps))
        return cls(steps, _ratios(sums)[:told], np.sqrt(added**2 @ mass)[:told])

    def figures(self, below: "Array", rows: int) -> "Array":
        """Return the figures of so many rows.

        Args:
            below: How many of them lie below each step; shape (classes - 1,).
            rows: At least 4.
        """
        import numpy as np

        # Powers of a share, without bias.
        factors = [(below - drawn) / (rows - drawn) for drawn in range(4)]
        sums = np.array(_SHIFTED_LEGENDRE) @ (np.cumprod(factors, axis=0) @ self.steps)
        return (_ratios(sums)[: len(self.usual)] - self.usual) / self.deviations


def _ratios(sums: "Array") -> "Array":
    """Return the first L-moment but for a constant, the second, and the others over the second."""
    import numpy as np

    return np.concatenate([sums[:2], sums[2:] / sums[1] if sums[1] > 0 else (0.0, 0.0)])


def arcsines(counts: "Array", rows: "Array", usual: "Array") -> "Array":
    """Return how far shares are from usual ones, on a scale on which chance varies them by one over the rows.

    Args:
        counts: Numbers of cases; shape (shares,).
        rows: Of so many; shape (shares,).
        usual: Shares that are 0 on the scale; shape (shares,).
    """
    import numpy as np

    found = 2 * np.arcsin(np.sqrt((counts + _ADDED) / (rows + 2 * _ADDED)))
    expected = usual * rows
    roots = np.where(
        expected < _MANY_CASES, np.interp(expected, _expected_cases(), _mean_roots()), np.sqrt(expected)
    )
    too_much = (roots - np.sqrt(expected)) / np.sqrt(np.maximum(rows, 1))
    biased: Array = 2 * np.arcsin(np.sqrt(usual)) + 2 * too_much
    return found - biased


@cache
def _expected_cases() -> "Array":
    import numpy as np

    return np.linspace(0, _MANY_CASES, 4 * _MANY_CASES + 1)


@cache
def _mean_roots() -> "Array":
    """Return the mean of the root of so many cases as Poisson's distribution expects."""
    import numpy as np
    from scipy.special import gammaln, xlogy

    expected, seen = _expected_cases()[:, None], np.arange(4 * _MANY_CASES)
    probable = np.exp(xlogy(seen, expected) - expected - gammaln(seen + 1))
    found: Array = probable @ np.sqrt(seen + _ADDED)
    return found


def _of_numbers(history: NumericProfile) -> Components:
    import numpy as np
    from scipy.special import ndtr

    cells, total = history.cells, history.cells.total
    classes = round(2 * _OUTERMOST / _CLASS_WIDTH) + 1
    shares = ndtr(np.linspace(-_OUTERMOST, _OUTERMOST, classes))
    edges: Array = np.unique(cells.quantiles(shares)) if total else np.empty(0)
    edges = edges[edges < history.high]
    mass = np.diff(cells.below(edges, side="right"), prepend=0, append=total) / max(total, 1)
    weights = dict(list(_MOMENTS.items())[: len(edges)]) | {
        name: _RARE[name] for name in (OUT_OF_RANGE, MISSING)
    }
    return Components(
        names=tuple(weights),
        weights=_normed(weights),
        shares=np.array([0.0, history.rows.missing_share]),
        seen=Seen.of(history),
        edges=edges,
        mass=mass,
    )


def _of_texts(history: CategoricalProfile) -> Components:
    import numpy as np

    categories = history.categories
    common = heapq.nlargest(_CATEGORIES + 1, categories.counts.items(), key=lambda each: (each[1], each[0]))
    # The share of the last one is told by all others.
    followed = common[: max(min(_CATEGORIES, len(categories.counts) - 1), 0)]
    weights: Mapping[str, float] = {f"= {text}": 0.8 / len(followed) for text, _ in followed}
    shares = [count / categories.total for _, count in followed]
    if not categories.folded:
        weights, shares = {**weights, NEW: _RARE[NEW]}, [*shares, 0.0]
    weights = {**weights, MISSING: _RARE[MISSING]}
    return Components(
        names=tuple(weights),
        weights=_normed(weights),
        shares=np.array([*shares, history.rows.missing_share]),
        seen=Seen.of(history),
        edges=np.empty(0),
        mass=np.ones(1),
        categories=tuple(text for text, _ in followed),
    )


def _normed(weights: Mapping[str, float]) -> tuple[float, ...]:
    whole = sum(weights.values())
    return tuple(weight / whole for weight in weights.values())
