"""A group beside the other rows of its own days: whether the model serves it as well.

A group may have a larger loss only because its outcomes are harder to tell, so losses are not compared. What
is compared is what a model owes every group alike, whatever its outcomes:

*Ordering.* How well predictions order the rows of the group on a day, from 0 for not at all to 1. For classes
it is Somers' D, twice the area under the ROC curve less one (of several classes each against the rest,
weighted by its variance); for values Spearman's rank correlation. Both are the slope of the prediction's
ranks on the target's ranks, so one formula serves. The *shortfall* of a group is what it lacks of the
ordering of the column's other groups: 0 is none, 1 a group in which predictions say nothing, 2 one in which
they say the opposite.

*Level.* By how much the mean prediction exceeds the mean target, less what it does for the other rows, in
standard deviations of the target: the *bias* of a group.

The rows of a day are held against the others of that day, so what moves all alike, such as a storm or a
season, is in neither.

Source: Somers, "A New Asymmetric Measure of Association for Ordinal Variables", American Sociological Review
27 (1962); Newson, "Parameters Behind 'Nonparametric' Statistics: Kendall's tau, Somers' D and Median
Differences", Stata Journal 2 (2002). That skill consists of these two: Murphy, "Skill Scores Based on the
Mean Square Error and Their Relationships to the Correlation Coefficient", Monthly Weather Review 116 (1988).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.block_jackknife import (
    FEWEST_BLOCKS,
    block_sums,
    critical,
    effective_blocks,
    jackknife,
    numbered,
)
from mlops_assets.evaluation.groups import Grouping

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_MOST_CLASSES = 10
# An area under the ROC curve of .55: where the others are ordered no better, there is next to nothing to
# fall short of, and a ratio to it would be noise.
_LEAST_ORDERING = 0.1
_DUST = 1e-9  # what is left of a sum after all of it was taken away again


@dataclass(frozen=True)
class Comparison:
    """One group beside the others of its column.

    Attributes:
        column: The column.
        group: The group's name.
        rows: Its rows.
        shortfall: What its ordering lacks, as a share of the others'; None where too little can be ordered.
        shortfall_low: Lower bound of it, never below zero.
        bias: By how much more than for the others the mean prediction is too high, in standard deviations of
            the target; of several classes the one with the largest.
        bias_low: Lower bound of its size, likewise.
    """

    column: str
    group: str
    rows: int
    shortfall: float | None
    shortfall_low: float | None
    bias: float | None
    bias_low: float | None


def compare_groups(
    groupings: Sequence[Grouping], target: "Array", predicted: "Array", blocks: "Array", *, confidence: float
) -> list[Comparison]:
    """Return each group of each column beside the others.

    What a group has in fewer than five blocks together with others is not compared.

    Args:
        groupings: The columns' groups.
        target: Encoded targets, shape (n,).
        predicted: Predictions, shape (n,) or (n, classes); of more than ten classes the rarest do not count.
        blocks: Block of each row, such as its day.
        confidence: With which all lower bounds hold together.
    """
    import numpy as np

    member = numbered(blocks)
    actual, expected = _by_class(target, predicted)
    spread = actual.std(axis=0)
    errors = (expected - actual) / np.where(spread > 0, spread, 1.0)
    classes = errors.shape[1]
    alpha = (1 - confidence) / 2  # one half for the shortfalls, one for the biases
    comparisons = sum(len(grouping.names) for grouping in groupings)
    found: list[Comparison] = []
    for grouping in groupings:
        order = _beside_others(_rank_products(grouping, member, actual, expected), grouping, member)
        scale = np.maximum(order.others, _LEAST_ORDERING)
        # The lead of the others is what the group lacks.
        shortfall = order.lead / scale
        low = np.maximum((order.lead - order.margin(alpha, comparisons)) / scale, 0.0)
        every = np.ones(len(target))
        levels = [
            _beside_others(np.column_stack([errors[:, k], every]), grouping, member) for k in range(classes)
        ]
        biases = -np.stack([level.lead for level in levels])
        # Either sign counts, of any class.
        margins = np.stack([level.margin(alpha, 2 * comparisons * classes) for level in levels])
        bias = biases[np.abs(biases).argmax(axis=0), np.arange(len(grouping.names))]
        bias_low = np.maximum(np.abs(biases) - margins, 0.0).max(axis=0)
        figures = np.stack([shortfall, low, bias, bias_low], axis=1)
        for name, rows, own in zip(grouping.names, grouping.rows, figures, strict=True):
            told = (float(figure) if np.isfinite(figure) else None for figure in own)
            found.append(Comparison(grouping.column, name, int(rows), *told))
    return found


@dataclass(frozen=True)
class _Beside:
    """Means of groups beside those of the other rows of their days.

    Attributes:
        others: The others' mean, each day weighted as in the group; shape (groups,).
        lead: By how much it is more than the group's own; NaN where it cannot be told.
        error: Standard error of the lead.
        blocks: Number of blocks it rests on.
    """

    others: "Array"
    lead: "Array"
    error: "Array"
    blocks: "Array"

    def margin(self, alpha: float, comparisons: int) -> "Array":
        """Return by how much the lead may be off."""
        margin: Array = critical(alpha, comparisons, self.blocks) * self.error
        return margin


def _beside_others(summands: "Array", grouping: Grouping, member: "Array") -> _Beside:
    """Return the mean of each group beside the others'.

    Args:
        summands: What the mean is of, times its weight, and the weight; shape (n, 2).
        grouping: The groups.
        member: Block of each row.
    """
    import numpy as np

    own = block_sums(summands, grouping.codes, len(grouping.names), member)
    rest = own.sum(axis=1, keepdims=True) - own
    shared = (own[..., 1] > _DUST) & (rest[..., 1] > _DUST)
    of_others = np.divide(rest[..., 0], rest[..., 1], out=np.zeros(shared.shape), where=shared)
    paired = np.stack([of_others * own[..., 1], own[..., 0], own[..., 1]], axis=-1) * shared[..., None]
    means = jackknife(lambda sums: sums[..., :2] / sums[..., 2:], paired)
    lead = means.derive(lambda both: both[..., 0] - both[..., 1])
    enough = shared.sum(axis=0) >= FEWEST_BLOCKS
    return _Beside(
        others=means.value[:, 0],
        lead=np.where(enough, lead.value, np.nan),
        error=lead.error,
        blocks=effective_blocks(paired[..., 2]),
    )


def _rank_products(grouping: Grouping, member: "Array", actual: "Array", expected: "Array") -> "Array":
    """Return for each row the products of ranks whose sums have the ordering as their ratio; shape (n, 2)."""
    import numpy as np

    cells = np.where(grouping.codes < 0, -1, member * len(grouping.names) + grouping.codes)
    products = np.zeros((len(actual), 2))
    for k in range(actual.shape[1]):
        target, prediction = _ranks_within(cells, actual[:, k]), _ranks_within(cells, expected[:, k])
        products += np.column_stack([target * prediction, target * target])
    return products


def _by_class(target: "Array", predicted: "Array") -> "tuple[Array, Array]":
    """Return targets and predictions of shape (n, classes); of two classes, and of values, one column."""
    import numpy as np

    if predicted.ndim == 1:
        return target[:, None], predicted[:, None]
    most = np.bincount(target.astype(int), minlength=predicted.shape[1]).argsort()[::-1][:_MOST_CLASSES]
    return (target[:, None] == most).astype(float), predicted[:, most]


def _ranks_within(cells: "Array", values: "Array") -> "Array":
    """Return each row's rank in its own cell, centred, as a share of the cell; ties share theirs."""
    import numpy as np

    order = np.lexsort((values, cells))
    cell, value = cells[order], values[order]
    starts = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]])
    ties = np.flatnonzero(np.r_[True, (cell[1:] != cell[:-1]) | (value[1:] != value[:-1])])
    size = np.diff(np.r_[starts, len(cells)])
    tied = np.diff(np.r_[ties, len(cells)])
    place = np.repeat(ties + (tied - 1) / 2, tied)
    centre, rows = np.repeat(starts + (size - 1) / 2, size), np.repeat(size, size)
    ranks = np.empty(len(values))
    ranks[order] = (place - centre) / rows
    return ranks
