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
_GREAT, _UNIT_OF_GREAT = 2.0**400, 2.0**700
# Above this SciPy, and so Evidently, takes the limiting distribution.
_MOST_EXACT = 10_000


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


def _of_numbers(*sides: Cells) -> Distances:
    from mlops_assets.monitoring.profiles import distance_kernels as kernels

    # All but the constant is the same in any unit, and of the greatest numbers the squares overflow.
    unit = _UNIT_OF_GREAT if max(abs(side.floors[end]) for side in sides for end in (0, -1)) > _GREAT else 1.0
    # Cells of one level lie one upon the other, so that what was made equal is not taken for apart.
    alike = [side.at_level(max(each.level for each in sides)) for side in sides]
    reference, current = (
        Cells(side.values / unit if unit > 1 else side.values, side.counts) for side in alike
    )
    furthest, area = kernels.distances(reference.values, reference.counts, current.values, current.counts)
    norm = max(reference.deviation, _LEAST_DEVIATION / unit)
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

    from mlops_assets.monitoring.profiles import distance_kernels as kernels

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

    from mlops_assets.monitoring.profiles import distance_kernels as kernels

    if len(reference.values) <= _MOST_DISCRETE:
        every = np.union1d(reference.values, current.values)
        counts = []
        for each in (reference, current):
            found = np.zeros(len(every))
            found[np.searchsorted(every, each.values)] = each.counts
            counts.append(found)
        return counts[0], counts[1]
    edges = _equal_widths(reference, current)
    return (
        kernels.histogram(reference.values, reference.counts, edges),
        kernels.histogram(current.values, current.counts, edges),
    )


def _equal_widths(reference: Cells, current: Cells) -> "Array":
    """Return NumPy's edges by Sturges' rule for the values of both sides together."""
    import numpy as np

    ends = [side.values[end] for side in (reference, current) for end in (0, -1)]
    low, high = min(ends), max(ends)
    if low == high:
        low, high = low - 0.5, high + 0.5
    width = (high - low) / (np.log2(reference.total + current.total) + 1.0)
    return np.linspace(low, high, int(np.ceil((high - low) / width)) + 1)


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
    from scipy.special import chdtrc

    from mlops_assets.monitoring.profiles import distance_kernels as kernels

    psi, divergence, taken = kernels.divergences(reference, current, _NONE)
    noise = 1 / reference.sum() + 1 / current.sum()

    def figure(value: float, chi_square: float) -> Figure:
        return Figure(value, float(chdtrc(taken - 1, chi_square)) if taken > 1 else 1.0)

    return figure(psi, psi / noise), figure(divergence**0.5, 8 * divergence / noise)


def _smirnov_p_value(distance: float, n: int, m: int) -> float:
    """Return the limiting distribution's p-value, corrected for finite samples (Stephens, 1970)."""
    from scipy.special import kolmogorov

    root = (n * m / (n + m)) ** 0.5
    return float(kolmogorov((root + 0.12 + 0.11 / root) * distance))


def _wasserstein_p_value(area: float, reference: Cells, current: Cells) -> float:
    """Return the probability of so great an area between two samples' distribution functions.

    By chance the area is the integral of a Brownian bridge's absolute value over the distribution (del
    Barrio, Giné and Matrán, "Central limit theorems for the Wasserstein distance between the empirical and
    the true distributions", 1999). A gamma distribution with its mean and variance stands for it. Of no use
    where tails are so heavy that there is no variance.
    """
    from scipy.special import gammaincc

    from mlops_assets.monitoring.profiles import distance_kernels as kernels

    values = reference.values
    if len(values) < 2:
        return 1.0 if area == 0 else 0.0
    mean, variance = kernels.bridge_area(values, reference.counts)
    scaled = area / (values[-1] - values[0]) / (1 / reference.total + 1 / current.total) ** 0.5
    return float(gammaincc(mean**2 / variance, scaled * mean / variance))
