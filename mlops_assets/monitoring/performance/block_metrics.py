"""The metrics of a window, and what each would be without each of its blocks.

A metric that is a function of sums needs only the sums of each block. The area under the ROC curve is one of
pairs of rows: without a block it lacks the pairs of its positives with all negatives and of all positives
with its negatives, and those within the block have then been taken away twice. All of it follows from two
sorts of the rows, however many blocks there are.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 11; Obuchowski,
"Nonparametric Analysis of Clustered ROC Curve Data", Biometrics 53 (1997), for pairs between and within
clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.block_jackknife import Jackknife, effective_blocks
from mlops_assets.evaluation.metrics import row_losses

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class BlockMetric:
    """A metric and what it rests on.

    Attributes:
        jackknife: Its value, and the values without each block; NaN where it is not defined.
        blocks: How many blocks of equal weight would tell as much.
        units: How many independent rows tell it at most: all of them, or of the rarer class.
    """

    jackknife: Jackknife
    blocks: float
    units: float


def block_metrics(
    metrics: Sequence[str],
    target: "Array",
    predicted: "Array",
    member: "Array",
    weights: "Array | None" = None,
) -> dict[str, BlockMetric]:
    """Return metrics as :func:`mlops_assets.evaluation.metrics.measure` defines them, block by block.

    Args:
        metrics: Their names; ``mean`` is that of the predictions.
        target: Encoded targets, shape (n,).
        predicted: Predictions, shape (n,) or (n, classes).
        member: Number of each row's block, from 0; shape (n,).
        weights: How much each row counts, shape (n,); all alike if not given.
    """
    import numpy as np

    rows = _Rows(member, np.ones(len(target)) if weights is None else weights)
    broken = bool(np.isnan(predicted).any()) or not len(target)
    return {name: rows.undefined() if broken else _metric(name, target, predicted, rows) for name in metrics}


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows in blocks."""

    member: "Array"
    weights: "Array"

    @property
    def count(self) -> int:
        return int(self.member.max(initial=-1)) + 1

    def sums(self, values: "Array") -> "Array":
        """Return the weighted sum of values in each block; shape (blocks,)."""
        import numpy as np

        return np.bincount(self.member, self.weights * values, self.count)

    def undefined(self) -> BlockMetric:
        import numpy as np

        nothing = np.full(self.count, np.nan)
        return BlockMetric(Jackknife(np.asarray(np.nan), nothing), 0.0, 0.0)


def _metric(name: str, target: "Array", predicted: "Array", rows: _Rows) -> BlockMetric:
    import numpy as np

    match name:
        case "roc_auc":
            return _roc_auc(target == 1, predicted, rows)
        case "macro_recall":
            return _macro_recall(target.astype(int), predicted.argmax(axis=1), rows)
        case "r2":
            return _r2(target, predicted, rows)
        case "mean":
            return _mean(predicted, rows)
    found = _mean(row_losses("mse" if name == "rmse" else name, target, predicted), rows)
    if name == "rmse":
        return BlockMetric(found.jackknife.derive(np.sqrt), found.blocks, found.units)
    return found


def _mean(losses: "Array", rows: _Rows) -> BlockMetric:
    lost, every = rows.sums(losses), rows.sums(_ones(losses))
    return _of_sums(lambda sums: sums[..., 0] / sums[..., 1], (lost, every), every)


def _r2(target: "Array", predicted: "Array", rows: _Rows) -> BlockMetric:
    import numpy as np

    centred = target - np.average(target, weights=rows.weights)
    every = rows.sums(_ones(target))
    sums = rows.sums((target - predicted) ** 2), rows.sums(centred**2), rows.sums(centred), every

    def share(sums: "Array") -> "Array":
        spread = sums[..., 1] - sums[..., 2] ** 2 / sums[..., 3]
        return np.where(spread > 0, 1 - sums[..., 0] / spread, np.nan)

    return _of_sums(share, sums, every)


def _of_sums(statistic: Any, sums: "tuple[Array, ...]", worth: "Array") -> BlockMetric:
    import numpy as np

    stacked = np.stack(sums, axis=-1)
    total = stacked.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = Jackknife(np.asarray(statistic(total)), statistic(total - stacked))
    return BlockMetric(found, float(effective_blocks(worth)), float(worth.sum()))


def _macro_recall(codes: "Array", guess: "Array", rows: _Rows) -> BlockMetric:
    import numpy as np

    classes = int(codes.max()) + 1
    cell = rows.member * classes + codes
    shape = (rows.count, classes)
    there = np.bincount(cell, rows.weights, rows.count * classes).reshape(shape)
    hits = np.bincount(cell, rows.weights * (guess == codes), rows.count * classes).reshape(shape)

    def recall(sums: "Array") -> "Array":
        hit, all_of_it = sums[..., 0], sums[..., 1]
        occurs = all_of_it > 1e-9 * all_of_it.sum()
        of_class = np.where(occurs, hit / np.where(occurs, all_of_it, 1), 0)
        return np.where(occurs.any(-1), of_class.sum(-1) / np.maximum(occurs.sum(-1), 1), np.nan)

    sums = np.stack([hits, there], axis=-1)
    total = sums.sum(axis=0)
    occurring = there.sum(axis=0)
    found = Jackknife(recall(total), recall(total - sums))
    return BlockMetric(
        found, float(effective_blocks(there.sum(axis=1))), float(occurring[occurring > 0].min())
    )


def _roc_auc(positive: "Array", predicted: "Array", rows: _Rows) -> BlockMetric:
    import numpy as np

    order = np.argsort(predicted, kind="stable")
    score, member = predicted[order], rows.member[order]
    ones = np.where(positive[order], rows.weights[order], 0.0)
    noughts = rows.weights[order] - ones
    count = rows.count
    below, above = _beside(score, ones, noughts)
    won = np.bincount(member, ones * below, count)
    lost_to = np.bincount(member, noughts * above, count)
    # Few blocks are sorted by radix.
    inner = np.argsort(member.astype(np.min_scalar_type(count)), kind="stable")
    within = _beside(score[inner], ones[inner], noughts[inner], member[inner])[0]
    inside = np.bincount(member[inner], ones[inner] * within, count)
    up, down = np.bincount(member, ones, count), np.bincount(member, noughts, count)
    with np.errstate(divide="ignore", invalid="ignore"):
        area = np.asarray(won.sum() / (up.sum() * down.sum()))
        without = (won.sum() - won - lost_to + inside) / ((up.sum() - up) * (down.sum() - down))
    blocks = min(float(effective_blocks(up)), float(effective_blocks(down)))
    defined = np.where(np.isfinite(without), without, np.nan)
    value = area if np.isfinite(area) else np.asarray(np.nan)
    return BlockMetric(Jackknife(value, defined), blocks, float(min(up.sum(), down.sum())))


def _beside(
    score: "Array", ones: "Array", noughts: "Array", member: "Array | None" = None
) -> "tuple[Array, Array]":
    """Return for each row the weight of the 0s below its score, and that of the 1s above it, ties by half.

    Args:
        score: Ascending, within each block if these are given.
        ones: Weight of each row that is 1, else 0.
        noughts: Weight of each row that is 0, else 0.
        member: Block of each row, ascending; only rows of its block count then.
    """
    import numpy as np

    new = np.empty(len(score), dtype=bool)
    new[0] = True
    np.not_equal(score[1:], score[:-1], out=new[1:])
    if member is not None:
        begins = np.flatnonzero(np.r_[True, member[1:] != member[:-1]])
        new[begins] = True
    starts = np.flatnonzero(new)
    tie = np.cumsum(new) - 1
    of_noughts, of_ones = np.add.reduceat(noughts, starts), np.add.reduceat(ones, starts)
    below = np.cumsum(of_noughts) - of_noughts / 2
    above = of_ones.sum() - np.cumsum(of_ones) + of_ones / 2
    if member is not None:
        before = np.r_[0.0, np.cumsum(of_noughts)][tie[begins]]
        below = below - np.repeat(before, np.diff(np.r_[tie[begins], len(starts)]))
    return below[tie], above[tie]


def _ones(like: "Array") -> "Array":
    import numpy as np

    return np.ones(len(like))
