"""What of a column's distribution is followed from window to window: a few figures, each with a meaning.

Numbers are put into classes of equal mass of a stable history, and each class has a normal score. Means of
orthonormal polynomials of the score tell location, spread, skewness and tails apart (the components of
Neyman's smooth test; Rayner, Thas and Best, "Smooth Tests of Goodness of Fit", 2009). By ranks and not by
values, so that neither outliers nor heavy tails matter. Shares (of a category, of missing values) are taken
by the arcsine of their root, whose variance does not depend on the share (Anscombe, 1948). So every figure
has, by chance alone, a variance of one over the rows.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.profiles.column import (
    CategoricalProfile,
    ColumnProfile,
    NumericProfile,
)

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FEWEST_ROWS = 30
_CLASSES = 32
_CATEGORIES = 12
MISSING, OUT_OF_RANGE, NEW = "missing", "out of range", "new values"
_MOMENTS = {"location": 0.45, "spread": 0.2, "skewness": 0.1, "tails": 0.05}
_RARE = {MISSING: 0.1, OUT_OF_RANGE: 0.1, NEW: 0.1}


@dataclass(frozen=True, eq=False)
class Components:
    """The figures of one column.

    Attributes:
        names: What each figure tells; of a category, ``= text``.
        weights: How much of the column's attention each gets; they sum to 1.
        low: Least number of the history; NaN for texts.
        high: Greatest.
        edges: Upper edges of the classes but the last; float64, shape (classes - 1,).
        polynomials: Value of each moment in each class; float64, shape (moments, classes).
        categories: Texts that are followed.
        known: All texts of the history, to know new ones by; None if they are too many.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...]
    low: float
    high: float
    edges: "Array"
    polynomials: "Array"
    categories: tuple[str, ...] = ()
    known: frozenset[str] | None = None

    @classmethod
    def of(cls, history: ColumnProfile) -> "Components":
        """Return the figures to follow of a column with a history."""
        if isinstance(history, NumericProfile):
            return _of_numbers(history)
        return _of_texts(history)

    def figures(self, profile: ColumnProfile) -> "tuple[Array, Array]":
        """Return the figures of some rows.

        Args:
            profile: Of the same column.

        Returns:
            The figures, NaN where there are fewer than :data:`FEWEST_ROWS` rows to tell from, and how many
            rows each is a mean of; shape (figures,) both.
        """
        import numpy as np

        known, every = profile.rows.known, profile.rows.all
        if isinstance(profile, NumericProfile):
            moments, outside = self._moments(profile), self._outside(profile)
            found = [*moments, share(outside, known)]
        else:
            counts = self._counts(profile)
            found = [share(count, known) for count in counts]
        found.append(share(every - known, every))
        rows = np.array([known] * (len(found) - 1) + [every])
        return np.where(rows >= FEWEST_ROWS, found, np.nan), rows

    def _moments(self, profile: NumericProfile) -> list[float]:
        import numpy as np

        below = profile.cells.below(self.edges, side="right")
        counts = np.diff(below, prepend=0, append=profile.cells.total)
        return list(self.polynomials @ counts / max(profile.rows.known, 1))

    def _outside(self, profile: NumericProfile) -> int:
        import numpy as np

        if not profile.rows.known or (profile.low >= self.low and profile.high <= self.high):
            return 0
        inside = (
            profile.cells.below(np.array([self.high]), side="right")[0]
            - profile.cells.below(np.array([self.low]))[0]
        )
        return int(profile.rows.known - inside)

    def _counts(self, profile: CategoricalProfile) -> list[int]:
        categories = profile.categories
        counts = [categories[text] for text in self.categories]
        if self.known is not None:
            counts.append(sum(n for text, n in categories.counts.items() if text not in self.known))
        return counts


def share(count: int, rows: int) -> float:
    """Return a share as twice the arcsine of its root, whose variance by chance is one over the rows."""
    import math

    return 2 * math.asin(math.sqrt((count + 0.375) / (rows + 0.75)))


def _of_numbers(history: NumericProfile) -> Components:
    import numpy as np
    from scipy.special import ndtri

    cells = history.cells
    edges = np.unique(cells.quantiles(np.arange(1, _CLASSES) / _CLASSES)) if cells.total else np.empty(0)
    edges = edges[edges < history.high] if cells.total else edges
    mass = np.diff(cells.below(edges, side="right"), prepend=0, append=cells.total) / max(cells.total, 1)
    scores = ndtri(np.clip(np.cumsum(mass) - mass / 2, 1e-9, 1 - 1e-9))
    polynomials = _orthonormal(scores, mass, len(_MOMENTS))
    weights = dict(list(_MOMENTS.items())[: len(polynomials)]) | {
        name: _RARE[name] for name in (OUT_OF_RANGE, MISSING)
    }
    return Components(tuple(weights), _normed(weights), history.low, history.high, edges, polynomials)


def _orthonormal(scores: "Array", mass: "Array", most: int) -> "Array":
    """Return polynomials of degree 1 and up: of mean 0, variance 1 and uncorrelated in the history."""
    import numpy as np

    degrees = min(most, len(scores) - 1)
    powers = scores[:, None] ** np.arange(degrees + 1)
    root = np.sqrt(mass)[:, None]
    orthogonal, triangular = np.linalg.qr(powers * root)
    signs = np.sign(np.diag(triangular))
    found: Array = (orthogonal * signs / root).T[1:]
    return found


def _of_texts(history: CategoricalProfile) -> Components:
    import numpy as np

    categories = history.categories
    common = heapq.nlargest(_CATEGORIES + 1, categories.counts.items(), key=lambda each: (each[1], each[0]))
    # The share of the last one is told by all others.
    followed = [text for text, _ in common][: max(min(_CATEGORIES, len(categories.counts) - 1), 0)]
    weights: Mapping[str, float] = {f"= {text}": 0.8 / len(followed) for text in followed}
    if not categories.folded:
        weights = {**weights, NEW: _RARE[NEW]}
    weights = {**weights, MISSING: _RARE[MISSING]}
    none = np.empty(0)
    return Components(
        tuple(weights),
        _normed(weights),
        float("nan"),
        float("nan"),
        none,
        np.empty((0, 1)),
        tuple(followed),
        None if categories.folded else frozenset(categories.counts),
    )


def _normed(weights: Mapping[str, float]) -> tuple[float, ...]:
    whole = sum(weights.values())
    return tuple(weight / whole for weight in weights.values())
