"""A group beside the other rows of its own days: whether the model serves it as well.

A group may have a larger loss only because its outcomes are harder to tell, so losses are not compared. What
is compared is what a prediction promises every group alike:

*Slope.* Where predictions differ by a certain amount, outcomes differ by as much: the slope of target on
prediction within a group and day is 1, of an overconfident model less, 0 where predictions mean nothing, and
negative where they say the opposite. The *shortfall* of a group is the share of the others' slope that it
lacks: 0 is none, 1 a group whose predictions mean nothing. A group in which predictions hardly differ
promises little: its margin is wide.

*Level.* By how much the mean prediction exceeds the mean target, less what it does for the other rows, in
standard deviations of the target: the *bias* of a group.

The rows of a day are held against the others of that day, so what moves all alike, such as a storm or a
season, is in neither.

Source: Cox, "Two Further Applications of a Model for Binary Regression", Biometrika 45 (1958), and Mincer and
Zarnowitz, "The Evaluation of Economic Forecasts" (1969), for slope and level as the two ways in which
predictions fail; Murphy, "Skill Scores Based on the Mean Square Error and Their Relationships to the
Correlation Coefficient", Monthly Weather Review 116 (1988), for what they take from a skill score.
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
# Where of all that predictions promise elsewhere less than this comes true, there is little to fall short of,
# and a ratio to it would be noise.
_LEAST_SLOPE = 0.2
_DUST = 1e-9  # share of a sum that may be left when all of it is taken away again


@dataclass(frozen=True)
class Comparison:
    """One group beside the others of its column.

    Attributes:
        column: The column.
        group: The group's name.
        rows: Its rows.
        shortfall: What its slope lacks, as a share of the others'; None where it cannot be told.
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
        slope = _beside_others(_slope_sums(grouping, member, actual, expected), grouping, member)
        scale = np.maximum(slope.others, _LEAST_SLOPE)
        # The lead of the others is what the group lacks.
        shortfall = slope.lead / scale
        low = np.maximum((slope.lead - slope.margin(alpha, comparisons)) / scale, 0.0)
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
    total = own.sum(axis=1, keepdims=True)
    rest = total - own
    shared = np.minimum(own[..., 1], rest[..., 1]) > _DUST * total[..., 1]
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


def _slope_sums(grouping: Grouping, member: "Array", actual: "Array", expected: "Array") -> "Array":
    """Return for each row what a slope within groups and days is the ratio of, summed; shape (n, 2)."""
    import numpy as np

    _, cells = np.unique(member * (len(grouping.names) + 1) + grouping.codes, return_inverse=True)
    rows = np.bincount(cells)
    summands = np.zeros((len(actual), 2))
    for k in range(actual.shape[1]):
        told = expected[:, k] - (np.bincount(cells, expected[:, k]) / rows)[cells]
        summands += np.column_stack([told * actual[:, k], told * told])
    return summands


def _by_class(target: "Array", predicted: "Array") -> "tuple[Array, Array]":
    """Return targets and predictions of shape (n, classes); of two classes, and of values, one column."""
    import numpy as np

    if predicted.ndim == 1:
        return target[:, None], predicted[:, None]
    most = np.bincount(target.astype(int), minlength=predicted.shape[1]).argsort()[::-1][:_MOST_CLASSES]
    return (target[:, None] == most).astype(float), predicted[:, most]
