"""How far a figure of a hold-out may be off, told from what it would be without each of its days.

Rows of one day share weather, crews and mistakes, so it is whole blocks (days) that are left out, one at a
time. A figure is written as a function of sums over rows. Then all it needs are the sums of each block, and
leaving a block out is one subtraction, however many rows and groups there are. With the few blocks that a
hold-out has, the delete-one jackknife is the most careful of the usual estimates, and it needs no seed.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 11; MacKinnon, Nielsen and
Webb, "Fast and Reliable Jackknife and Bootstrap Methods for Cluster-Robust Inference", Journal of Applied
Econometrics 38 (2023), of which this is the estimator CV3 with Student's t of one degree less than blocks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FEWEST_BLOCKS = 5
_DEALT = 50
_ENOUGH_BLOCKS, _ROWS_A_BLOCK = 10, 20


@dataclass(frozen=True)
class Jackknife:
    """Figures and what they would be without each block.

    Attributes:
        value: The figures, any shape.
        without: The same without each block, shape (blocks, *value.shape).
    """

    value: "Array"
    without: "Array"

    @property
    def error(self) -> "Array":
        """Standard error of each figure."""
        import numpy as np

        count = len(self.without)
        squares = ((self.without - self.value) ** 2).sum(axis=0)
        return np.asarray(np.sqrt(squares * (count - 1) / count))

    def derive(self, change: "Callable[[Array], Array]") -> "Jackknife":
        """Return figures computed from these; ``change`` takes (…, *value.shape)."""
        return Jackknife(change(self.value), change(self.without))


def numbered(blocks: "Array") -> "Array":
    """Return the number of each row's block, from 0.

    Where blocks have fewer than twenty rows on average, neighbours are put together, as long as ten remain.
    Where there are fewer than five, rows are dealt out at random, which is all that the data allow.
    """
    import numpy as np

    found, member = np.unique(blocks, return_inverse=True)
    if len(found) < FEWEST_BLOCKS:
        return np.random.default_rng(0).permutation(len(blocks)) % min(len(blocks), _DEALT)
    wanted = min(len(found), max(_ENOUGH_BLOCKS, len(blocks) // _ROWS_A_BLOCK))
    return np.asarray(member * wanted // len(found))


def block_sums(summands: "Array", groups: "Array", count: int, member: "Array") -> "Array":
    """Return the sums over the rows of each block and group.

    Args:
        summands: What is summed, shape (rows, k).
        groups: Group of each row, from 0; negative where it is in none.
        count: Number of groups.
        member: Block of each row, see :func:`numbered`.

    Returns:
        Shape (blocks, groups, k).
    """
    import numpy as np

    inside = groups >= 0
    cell = member[inside] * count + groups[inside]
    n_blocks = int(member.max(initial=-1)) + 1
    sums = [np.bincount(cell, column, n_blocks * count) for column in summands[inside].T]
    return np.stack(sums, axis=-1).reshape(n_blocks, count, -1)


def jackknife(statistic: "Callable[[Array], Array]", sums: "Array") -> Jackknife:
    """Return a statistic of all blocks' sums, and of those without each block.

    Args:
        statistic: Takes sums of shape (…, groups, k).
        sums: Shape (blocks, groups, k), see :func:`block_sums`.
    """
    import numpy as np

    total = sums.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Jackknife(statistic(total), statistic(total - sums))


def effective_blocks(weights: "Array") -> "Array":
    """Return how many blocks of equal weight would tell as much; shape of ``weights`` without the first axis.

    Args:
        weights: What each block has to say about each figure, such as its rows; shape (blocks, …).

    Source: Kish, "Survey Sampling" (1965), section 11.7; for Student's t with uneven clusters Carter,
    Schnepel and Steigerwald, Review of Economics and Statistics 99 (2017).
    """
    import numpy as np

    squares = (weights**2).sum(axis=0)
    return np.asarray(weights.sum(axis=0) ** 2 / np.where(squares > 0, squares, 1.0))


def critical(alpha: float, comparisons: int, blocks: "Array") -> "Array":
    """Return how many standard errors a bound lies off, so that all of them hold together.

    Args:
        alpha: Chance that any of the one-sided bounds is broken.
        comparisons: How many there are (Bonferroni).
        blocks: Number of blocks that each figure rests on, see :func:`effective_blocks`.
    """
    import numpy as np
    from scipy.stats import t

    return np.asarray(t.isf(alpha / max(comparisons, 1), np.maximum(blocks - 1, 1)))
