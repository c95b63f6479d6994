"""How far apart two profiles of a column are, as Evidently defines it, and how likely chance alone does that.

Missing values, infinities and whatever else is not of the column's type take no part on either side. The
p-values hold for rows that are independent of each other, which rows of a window rarely are: they are shown,
and alarms are calibrated otherwise (:mod:`mlops_assets.monitoring.alarms`).
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.profiles.categories import Categories
from mlops_assets.monitoring.profiles.cells import Cells
from mlops_assets.monitoring.profiles.column import ColumnProfile, NumericProfile

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# Evidently's constants: the least deviation to divide by, the most values that are compared one by one, and
# what stands for a share of none (or a millionth of the least share, if that is less still).
_LEAST_DEVIATION = 0.001
_MOST_DISCRETE = 20
_NONE = 0.0001
# Above this SciPy, and so Evidently, takes the limiting distribution.
_MOST_EXACT = 10_000
_NODES = 64


@dataclass(frozen=True)
class Figure:
    """A distance, and the probability of one at least as great between two samples of one distribution."""

    value: float
    p_value: float


@dataclass(frozen=True)
class Distances:
    """How far a column's values are from the reference's.

    Attributes:
        psi: Population stability index (Siddiqi, "Credit Risk Scorecards", 2006).
        jensen_shannon: Jensen-Shannon distance: square root of the divergence, natural logarithm (Lin, 1991).
        wasserstein: Wasserstein-1 distance over the reference's standard deviation; None for texts.
        kolmogorov_smirnov: Greatest difference of the distribution functions; None for texts.
        chi_square: Pearson's statistic of homogeneity of the categories; None for numbers.
    """

    psi: Figure
    jensen_shannon: Figure
    wasserstein: Figure | None = None
    kolmogorov_smirnov: Figure | None = None
    chi_square: Figure | None = None

    def __iter__(self) -> Iterator[tuple[str, Figure]]:
        for name in asdict(self):
            if (figure := getattr(self, name)) is not None:
                yield name, figure


def distances(reference: ColumnProfile, current: ColumnProfile) -> Distances | None:
    """Return the distances between two profiles of a column, or None if one has no values.

    Args:
        reference: What is compared with; the distances are not symmetric.
        current: What is compared.
    """
    if not (reference.rows.known and current.rows.known):
        return None
    if isinstance(reference, NumericProfile) and isinstance(current, NumericProfile):
        return _of_numbers(reference.cells, current.cells)
    assert not isinstance(reference, NumericProfile)
    assert not isinstance(current, NumericProfile)
    old, new = reference.categories.beside(current.categories)
    p, q = _counts_by_name(old, new)
    return Distances(*_divergences(p, q), chi_square=chi_square(p, q))


def _of_numbers(reference: Cells, current: Cells) -> Distances:
    from mlops_assets.monitoring.profiles import kernels

    furthest, area = kernels.distances(reference.values, reference.counts, current.values, current.counts)
    norm = max(reference.deviation, _LEAST_DEVIATION)
    p, q = _binned(reference, current)
    psi, jensen_shannon = _divergences(p, q)
    return Distances(
        psi=psi,
        jensen_shannon=jensen_shannon,
        wasserstein=Figure(area / norm, _wasserstein_p_value(area, reference, current)),
        kolmogorov_smirnov=Figure(furthest, _smirnov_p_value(furthest, reference.total, current.total)),
    )


def scipy_smirnov_p_value(distance: float, n: int, m: int) -> float:
    """Return SciPy's p-value of a Kolmogorov-Smirnov distance: the exact one up to 10,000 values a side.

    It can take a thousand times as long as all else that is told of a column, whose p-value is within a
    hundredth of it.

    Args:
        distance: The distance.
        n: Number of values on one side.
        m: On the other.
    """
    from scipy.stats import kstwo

    from mlops_assets.monitoring.profiles import kernels

    if distance > 0 and max(n, m) <= _MOST_EXACT:
        return float(kernels.beyond(n, m, distance))
    return float(kstwo.sf(distance, max(1, round(n * m / (n + m)))))


def chi_square(reference: "Array", current: "Array") -> Figure:
    """Return Pearson's statistic of homogeneity of two samples' counts by category.

    Unlike Evidently's test, which takes the reference's shares for known without error, and so finds a shift
    in 28 % (3 categories) to 97 % (50) of samples that have none. For that one see :func:`chi_square_of_fit`.

    Args:
        reference: Shape (categories,).
        current: In the same order.
    """
    import numpy as np
    from scipy.special import chdtrc

    table = np.array([reference, current], dtype=float)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return Figure(0.0, 1.0)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return Figure(statistic, float(chdtrc(table.shape[1] - 1, statistic)))


def chi_square_of_fit(reference: Categories, current: Categories) -> Figure:
    """Return Evidently's chi-square: Pearson's statistic of fit to the reference's shares."""
    import numpy as np
    from scipy.special import chdtrc

    p, q = _counts_by_name(*reference.beside(current))
    expected = p * (current.total / reference.total)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = float(((q - expected) ** 2 / expected).sum())
    return Figure(statistic, float(chdtrc(len(p) - 1, statistic)) if len(p) > 1 else 1.0)


def _binned(reference: Cells, current: Cells) -> "tuple[Array, Array]":
    """Return both sides' counts in Evidently's bins: single values if there are few, else equal widths."""
    import numpy as np

    if len(reference.values) <= _MOST_DISCRETE:
        every = np.union1d(reference.values, current.values)
        counts = []
        for each in (reference, current):
            found = np.zeros(len(every))
            found[np.searchsorted(every, each.values)] = each.counts
            counts.append(found)
        return counts[0], counts[1]
    edges = _equal_widths(reference, current)
    return _histogram(reference, edges), _histogram(current, edges)


def _equal_widths(reference: Cells, current: Cells) -> "Array":
    """Return NumPy's edges by Sturges' rule for the values of both sides together."""
    import numpy as np

    ends = [side.values[end] for side in (reference, current) for end in (0, -1)]
    low, high = min(ends), max(ends)
    if low == high:
        low, high = low - 0.5, high + 0.5
    width = (high - low) / (np.log2(reference.total + current.total) + 1.0)
    return np.linspace(low, high, int(np.ceil((high - low) / width)) + 1)


def _histogram(cells: Cells, edges: "Array") -> "Array":
    import numpy as np

    # The last bin holds its right edge, too.
    below = cells.below(edges)
    below[-1] = cells.below(edges[-1:], side="right")[0]
    return np.diff(below).astype(float)


def _counts_by_name(reference: Categories, current: Categories) -> "tuple[Array, Array]":
    import numpy as np

    names = sorted({*reference.counts, *current.counts})
    return (
        np.array([reference[name] for name in names], dtype=float),
        np.array([current[name] for name in names], dtype=float),
    )


def _divergences(reference: "Array", current: "Array") -> tuple[Figure, Figure]:
    """Return PSI and Jensen-Shannon distance of counts.

    Both are to first order multiples of Pearson's statistic, and so have its distribution by chance: PSI over
    (1/n + 1/m), and eight times the divergence over the same (Yurdakul, "Statistical properties of population
    stability index", 2018; Lin, "Divergence measures based on the Shannon entropy", 1991).
    """
    import numpy as np
    from scipy.special import chdtrc, rel_entr

    n, m = reference.sum(), current.sum()
    p, q = reference / n, current / m
    freedom = int(((p + q) > 0).sum()) - 1
    noise = 1 / n + 1 / m
    filled_p, filled_q = _without_none(p), _without_none(q)
    psi = float(((filled_p - filled_q) * np.log(filled_p / filled_q)).sum())
    middle = (p + q) / 2
    divergence = float((rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2)
    divergence = max(divergence, 0.0)
    found = [(psi, psi / noise), (divergence**0.5, 8 * divergence / noise)]
    by_chance = chdtrc(freedom, [scaled for _, scaled in found]) if freedom else np.ones(2)
    return (
        Figure(found[0][0], float(by_chance[0])),
        Figure(found[1][0], float(by_chance[1])),
    )


def _without_none(shares: "Array") -> "Array":
    import numpy as np

    least = shares[shares > 0].min()
    return np.where(shares == 0, least / 10**6 if least <= _NONE else _NONE, shares)


def _smirnov_p_value(distance: float, n: int, m: int) -> float:
    """Return the limiting distribution's p-value, corrected for finite samples (Stephens, 1970)."""
    from scipy.special import kolmogorov

    root = (n * m / (n + m)) ** 0.5
    return float(kolmogorov((root + 0.12 + 0.11 / root) * distance))


def _wasserstein_p_value(area: float, reference: Cells, current: Cells) -> float:
    """Return the probability of so great an area between two samples' distribution functions.

    By chance the area is the integral of a Brownian bridge's absolute value over the distribution (del
    Barrio, Giné and Matrán, "Central limit theorems for the Wasserstein distance between the empirical and
    the true distributions", 1999). Its mean and variance are those of jointly normal values; a gamma
    distribution with both stands for it. Of no use where tails are so heavy that there is no variance.
    """
    import numpy as np
    from scipy.special import gammaincc

    # Closer together where the distribution is thin: there its quantiles lie far apart.
    shares = np.sin(np.linspace(0, np.pi / 2, _NODES + 1)) ** 2
    at = np.unique(reference.quantiles(shares))
    if len(at) < 2:
        return 1.0 if area == 0 else 0.0
    # Up to each node and not including the next, the distribution function is somewhere between the two.
    below = (reference.below(at, side="right")[:-1] + reference.below(at)[1:]) / (2 * reference.total)
    odds = np.sqrt(below / (1 - below))
    correlation = np.minimum.outer(odds, odds) / np.maximum.outer(odds, odds)
    together = np.sqrt(1 - correlation**2) + correlation * np.arcsin(correlation)
    span = at[-1] - at[0]  # by which all is measured, so that nothing underflows
    weights = np.diff(at) / span * np.sqrt(below * (1 - below))
    mean = np.sqrt(2 / np.pi) * weights.sum()
    variance = weights @ (2 / np.pi * (together - 1)) @ weights
    scaled = area / span / np.sqrt(1 / reference.total + 1 / current.total)
    return float(gammaincc(mean**2 / variance, scaled * mean / variance))
