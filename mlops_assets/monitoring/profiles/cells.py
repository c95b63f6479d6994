"""A bounded multiset of numbers that merges exactly: the distribution of a numeric column.

It holds the distinct values with their counts as long as there are few of them. Once there are more than
:data:`MOST`, every value loses the fewest last bits of its mantissa that bring the number of different ones
back to it. How many bits these are depends on the set of values alone and never shrinks as values are added.
So any order and any grouping of rows gives the same cells, to the last byte.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# A cell of a smooth distribution has about a two-thousandth of the rows when there are so many.
MOST = 2**14
# Of this many there always is a level that they fit: signs times exponents, and zero.
FEWEST = 2**12
_MANTISSA = 52
_SMALLEST_NORMAL = 2.0**-1022
# Slots for which counting by address is quicker than sorting: they fit a core's own cache.
_SLOTS = 2**17
# As many values tell whether counting them by hash will do.
_SAMPLE = 512


@dataclass(frozen=True)
class Survey:
    """What has to be known of numbers before they are counted.

    Attributes:
        size: How many there are.
        missing: How many of them are NaN.
        below: How many are minus infinity.
        above: How many are infinity.
        zeros: How many are zero, or subnormal and so counted as zero.
        negative: How many are finite and negative.
        lowest: Bits of the least magnitude of the others.
        highest: Bits of the greatest.
        subnormal: How many are subnormal.
        low: The least finite number.
        high: The greatest.
    """

    size: int
    missing: int
    below: int
    above: int
    zeros: int
    negative: int
    lowest: int
    highest: int
    subnormal: int
    low: float
    high: float

    @classmethod
    def of(cls, numbers: "Array") -> "Survey":
        """Return the survey of contiguous float64 numbers; shape (n,)."""
        from mlops_assets.monitoring.profiles import kernels

        return cls(len(numbers), *kernels.surveyed(numbers))

    @property
    def finite(self) -> int:
        """How many numbers are finite."""
        return self.size - self.missing - self.below - self.above

    def cleaned(self, numbers: "Array") -> "Array":
        """Return the finite ones of the numbers, with zero for subnormal ones."""
        import numpy as np

        if self.finite < self.size:
            numbers = numbers[np.isfinite(numbers)]
        return np.where(np.abs(numbers) < _SMALLEST_NORMAL, 0.0, numbers) if self.subnormal else numbers


@dataclass(frozen=True, eq=False)
class Cells:
    """Distinct numbers and how often each occurs.

    Attributes:
        floors: Distinct values without their last ``level`` bits, ascending; float64, shape (cells,).
        counts: How many values each stands for; int64, shape (cells,).
        level: Bits of the mantissa that all values lost; 0 if they are as they were.
        most: How many cells there may be.
    """

    floors: "Array"
    counts: "Array"
    level: int = 0
    most: int = MOST

    @classmethod
    def of(cls, values: "Array", most: int = MOST) -> "Cells":
        """Return the cells of the finite ones among some numbers.

        Args:
            values: Shape (n,). Subnormal numbers count as zero.
            most: How many cells there may be, :data:`FEWEST` at least.

        Raises:
            ValueError: It is less.
        """
        import numpy as np

        numbers = np.ascontiguousarray(values, dtype=np.float64)
        return cls.surveyed(numbers, Survey.of(numbers), most)

    @classmethod
    def surveyed(cls, numbers: "Array", survey: "Survey", most: int = MOST) -> "Cells":
        """Return the cells of float64 numbers of which the survey is known; see :meth:`of`."""
        if most < FEWEST:
            raise ValueError(f"{most} cells are too few: {FEWEST} may be needed for numbers of any size")
        return cls(*_counted(numbers, survey, most), most=most)._fitted()

    def merge(self, other: "Cells") -> "Cells":
        """Return the cells of both; in either order, the same.

        Raises:
            ValueError: They may have different numbers of cells.
        """
        from mlops_assets.monitoring.profiles import kernels

        if self.most != other.most:
            raise ValueError(f"cells of at most {self.most} and of at most {other.most} do not merge")
        if not (len(self.floors) and len(other.floors)):
            return self if len(self.floors) else other
        level = max(self.level, other.level)
        left, right = self.at_level(level), other.at_level(level)
        floors, counts = kernels.merged(left.floors, left.counts, right.floors, right.counts)
        return Cells(floors, counts, level, self.most)._fitted()

    def at_most(self, most: int) -> "Cells":
        """Return the same in fewer cells, :data:`FEWEST` at least; as if made so at once."""
        return Cells(self.floors, self.counts, self.level, min(most, self.most))._fitted()

    def at_level(self, level: int) -> "Cells":
        """Return the same with so many bits of the mantissa lost, as many as now at least."""
        from mlops_assets.monitoring.profiles import kernels

        if level == self.level:
            return self
        floors, counts = kernels.coarsened(self.floors, self.counts, level)
        return Cells(floors, counts, level, self.most)

    @cached_property
    def total(self) -> int:
        """Number of values."""
        return int(self.counts.sum())

    @cached_property
    def values(self) -> "Array":
        """What stands for the values of each cell: they themselves, or the middle of the cell."""
        from mlops_assets.monitoring.profiles import kernels

        return self.floors if self.level == 0 else kernels.middles(self.floors, self.level)

    def below(self, edges: "Array", *, side: Literal["left", "right"] = "left") -> "Array":
        """Return how many values lie below each edge; with ``side="right"``, below or on it."""
        import numpy as np

        below: Array = self._cumulative[np.searchsorted(self.values, edges, side=side)]
        return below

    def quantiles(self, shares: "Array") -> "Array":
        """Return the values that shares of all values, from 0 to 1, do not exceed.

        Hyndman and Fan, "Sample quantiles in statistical packages" (1996), definition 1.
        """
        import numpy as np

        ranks = np.clip(np.ceil(np.asarray(shares) * self.total), 1, max(self.total, 1))
        found: Array = self.values[np.searchsorted(self._cumulative[1:], ranks, side="left")]
        return found

    @cached_property
    def mean(self) -> float:
        """Mean of the values; NaN if there are none."""
        return float((self.values * self.counts).sum() / self.total) if self.total else float("nan")

    @cached_property
    def deviation(self) -> float:
        """Standard deviation of the values, by their number and not one less; NaN if there are none."""
        import numpy as np

        if not self.total:
            return float("nan")
        return float(np.sqrt(self.counts @ (self.values - self.mean) ** 2 / self.total))

    @cached_property
    def _cumulative(self) -> "Array":
        import numpy as np

        return np.concatenate([[0], np.cumsum(self.counts)])

    def _fitted(self) -> "Cells":
        """Return the cells at the lowest level at which there are not too many of them."""
        from mlops_assets.monitoring.profiles import kernels

        if len(self.floors) <= self.most:
            return self
        return self.at_level(kernels.level_fitting(self.floors, self.level, self.most))


def _counted(numbers: "Array", survey: Survey, most: int) -> "tuple[Array, Array, int]":
    """Return distinct values, ascending, with counts and a level that is not above the one they need."""
    import numpy as np

    from mlops_assets.monitoring.profiles import kernels

    if not survey.finite:
        return np.empty(0, np.float64), np.empty(0, np.int64), 0
    if survey.zeros == survey.finite:
        return np.zeros(1), np.array([survey.zeros]), 0
    # Which way is taken changes the time that it takes and nothing else.
    distinct = len(kernels.counted(numbers[:_SAMPLE], _SAMPLE)[0])
    if len(numbers) <= most and distinct > _SAMPLE // 2:
        return *kernels.runs(_sorted(numbers, survey)), 0
    if distinct < _SAMPLE:
        found, counts, all_of_them = kernels.counted(numbers, min(most, survey.finite))
        if all_of_them:
            order = np.argsort(found)
            return found[order], counts[order], 0
    aside = survey.size - survey.finite + survey.zeros
    floors, counts, level = kernels.tabled(
        numbers, aside, survey.zeros, survey.negative, survey.lowest, survey.highest, _SLOTS, most
    )
    return (floors, counts, level) if level >= 0 else (*kernels.runs(_sorted(numbers, survey)), 0)


def _sorted(numbers: "Array", survey: Survey) -> "Array":
    """Return the finite ones of numbers in order, zero for subnormal ones."""
    import numpy as np

    from mlops_assets.monitoring.profiles import kernels

    slots = min(2 * survey.finite, _SLOTS)
    found, are_sorted = kernels.ordered(numbers, survey.finite, survey.lowest, survey.highest, slots)
    return found if are_sorted else np.sort(survey.cleaned(numbers))
