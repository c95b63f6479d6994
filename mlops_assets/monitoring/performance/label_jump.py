"""Labels that jump by themselves: more likely made differently than true of a changed world.

From one block to the next the labels' level changes by very much, or one of the labels all but vanishes; the
outputs do not follow, and no input that the model rests on moved at that time. A fault in how labels are made
or gathered looks like this, and a model that is trained on such labels learns the fault: so retraining stops
until somebody has looked. A world that changes over night in a way that no input tells looks the same; a
person has to tell the two apart.

There are two tests, of each class and of values.

*A jump.* Each time between two blocks is held to be the one of the jump, and the one that explains most is
taken. The variance of blocks is that of a stable past (:func:`.change_detection.stable_level`), with
Student's t. As every look tries every place, the budget of a block's time is divided among the looks that
follow it, 6 / (pi n)^2 of it for the n-th, so that the sum over all looks and places is the budget
(Bonferroni). The level has to change by as much as worlds rarely do, and between the blocks right before and
right after.

*A label that vanishes*, which for a rare one is no great change of level. That it occurs as often as outputs
say is held against that it occurs a twentieth as often, by the likelihood ratio of Poisson's distribution
since the time at which it is greatest (Page, "Continuous Inspection Schemes", Biometrika 41, 1954). Days
differ by more than Poisson's, so that it has to be a multiple of the greatest ratio in the stable past.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.performance.change_detection import (
    FEWEST_STABLE,
    HOURS_A_QUARTER,
    stable_level,
)
from mlops_assets.monitoring.performance.labelled_blocks import LabelledBlocks

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# What changes by less is left to the tests for concept drift: worlds do. Of values, in parts of the scale; of
# a share, by so much, and its odds so many times.
_LEAST_VALUE, _LEAST_SHARE, _LEAST_ODDS = 0.5, 0.2, 4.5
# A label has vanished if it occurs so many times less often; natural logarithm of how much likelier that
# has to be, and times the most that it ever was in the stable past.
_VANISHED, _LIKELIER, _TIMES_AS_LIKELY = 0.05, 20.0, 3.0
# The outputs explain a jump if they move by so much of it.
_EXPLAINED = 0.5
# A jump is sudden if so many blocks on either side of it differ by so much of it.
_BESIDE, _AT_ONCE = 3, 0.6


@dataclass(frozen=True)
class LabelJump:
    """A jump of the labels that the model's outputs do not explain.

    Attributes:
        since: When it was.
        name: Of the class whose share jumped; empty if there is but one column.
        before: Level of the labels before: the share of a class, or of values their mean over the scale.
        after: Level since.
        outputs: By how much the mean output changed at that time.
        rows: Labelled rows a day before, and since.
        moved: Inputs that moved at that time and may explain it.
        reason: All of this in one sentence.
    """

    since: datetime
    name: str
    before: float
    after: float
    outputs: float
    rows: tuple[float, float]
    moved: tuple[str, ...]
    reason: str

    @property
    def probable_fault(self) -> bool:
        """Whether it is rather a fault of the labels than of the model: nothing else moved."""
        return not self.moved


def label_jump(
    stable: LabelledBlocks,
    since: LabelledBlocks,
    *,
    budget: float,
    values: bool = False,
    names: Sequence[str] = ("",),
    moved: Sequence[str] = (),
) -> LabelJump | None:
    """Return the greatest jump of the labels that outputs do not explain; None if there is none.

    Args:
        stable: Blocks of the hold-out, and of windows in which nothing was wrong.
        since: Blocks after these, in order of time.
        budget: False alarms a quarter that this test may raise.
        values: Whether labels are values and no classes.
        names: Of the classes whose labels are followed.
        moved: Inputs that the model rests on and that moved lately, by their alarms.
    """
    stable, since = stable.of_enough_rows(), since.of_enough_rows()
    if len(stable) < FEWEST_STABLE or not len(since):
        return None
    alpha = min(budget * float(since.hours.mean()) / HOURS_A_QUARTER, 0.5) / len(names)
    found = []
    for column, name in enumerate(names):
        places = [_jumped(stable, since, column, alpha, values)]
        if not values:
            places += [_vanished(stable, since, column, others) for others in (False, True)]
        found += [
            _described(stable, since, column, name, place, tuple(moved))
            for place in places
            if place is not None
        ]
    return max(found, key=lambda jump: abs(jump.after - jump.before), default=None)


def _jumped(
    stable: LabelledBlocks, since: LabelledBlocks, column: int, alpha: float, values: bool
) -> int | None:
    """Return the block at which labels have jumped and outputs have not; None if there is none."""
    import numpy as np

    both, first = stable.followed_by(since), len(stable)
    residual, rows = both.residual[:, column], both.rows
    squares = (stable.residual_square - stable.residual**2)[:, column]
    within = float((squares * stable.rows).sum() / stable.rows.sum())
    level = stable_level(stable.residual[:, column], stable.rows, within)
    weight = 1 / level.variance(rows)
    gone, there = np.cumsum(weight * residual), np.cumsum(weight)
    before, after = there[first - 1 : -1], there[-1] - there[first - 1 : -1]
    steps = (gone[-1] - gone[first - 1 : -1]) / after - gone[first - 1 : -1] / before
    apart = np.abs(steps) / np.sqrt(level.run * (1 / before + 1 / after))
    place = int(apart.argmax())
    looks = len(since) - place
    if _p_value(float(apart[place]), level.blocks - 1) > alpha * 6 / (math.pi * looks) ** 2:
        return None
    shift = _levels(both, column, first + place)
    far = abs(shift.unexplained) >= _LEAST_VALUE if values else _is_far(shift.before, shift.after)
    if not far or shift.outputs * math.copysign(1, shift.labels) >= _EXPLAINED * abs(shift.labels):
        return None
    at = first + place
    beside = residual[at : at + _BESIDE].mean() - residual[max(at - _BESIDE, 0) : at].mean()
    return place if beside / steps[place] >= _AT_ONCE else None


def _vanished(stable: LabelledBlocks, since: LabelledBlocks, column: int, others: bool) -> int | None:
    """Return the block from which on a label all but does not occur; None if there is none.

    Args:
        stable: Blocks of the stable past.
        since: Blocks since.
        column: Of the class.
        others: Whether it is the labels of all other classes that vanish.
    """
    import numpy as np

    def counted(blocks: LabelledBlocks) -> "tuple[Array, Array]":
        label, said = blocks.label[:, column], blocks.output[:, column]
        there, expected = (1 - label, 1 - said) if others else (label, said)
        return blocks.rows * there, blocks.rows * expected

    there, expected = counted(stable)
    usual = there.sum() / max(expected.sum(), 1e-9)

    def likelier(blocks: LabelledBlocks) -> "Array":
        """Return the logarithm of how much likelier what each block has is if the label is gone."""
        there, expected = counted(blocks)
        return np.asarray(there * math.log(_VANISHED) + (1 - _VANISHED) * usual * expected)

    gone = np.concatenate([[0.0], np.cumsum(likelier(stable))])
    most = float((gone - np.minimum.accumulate(gone)).max())
    ratios = np.cumsum(likelier(since)[::-1])[::-1]
    place = int(ratios.argmax())
    occurred, due = (float(each[place:].sum()) for each in counted(since))
    rare = occurred <= 2 * _VANISHED * usual * due
    return place if rare and ratios[place] >= max(_LIKELIER, _TIMES_AS_LIKELY * most) else None


@dataclass(frozen=True)
class _Levels:
    before: float
    after: float
    outputs: float

    @property
    def labels(self) -> float:
        return self.after - self.before

    @property
    def unexplained(self) -> float:
        return self.labels - self.outputs


def _levels(both: LabelledBlocks, column: int, at: int) -> _Levels:
    """Return the level of labels before and after a block, and by how much that of outputs differs."""
    import numpy as np

    def mean(values: "Array", which: slice) -> float:
        return float(np.average(values[which, column], weights=both.rows[which]))

    past, now = slice(0, at), slice(at, None)
    outputs = mean(both.output, now) - mean(both.output, past)
    return _Levels(mean(both.label, past), mean(both.label, now), outputs)


def _described(
    stable: LabelledBlocks,
    since: LabelledBlocks,
    column: int,
    name: str,
    place: int,
    moved: tuple[str, ...],
) -> LabelJump:
    both, at = stable.followed_by(since), len(stable) + place
    shift = _levels(both, column, at)
    a_day = [24 * float(both.rows[p].sum() / both.hours[p].sum()) for p in (slice(0, at), slice(at, None))]
    jump = LabelJump(
        since=both.starts[at].astype("datetime64[us]").item(),
        name=name,
        before=shift.before,
        after=shift.after,
        outputs=shift.outputs,
        rows=(a_day[0], a_day[1]),
        moved=moved,
        reason="",
    )
    return replace(jump, reason=_reason(jump))


def _is_far(before: float, after: float) -> bool:
    """Return whether a share has changed by more than worlds do."""
    less, more = min(before, after), max(before, after)
    return more - less >= _LEAST_SHARE and more * (1 - less) >= _LEAST_ODDS * less * (1 - more)


def _p_value(apart: float, freedom: int) -> float:
    from scipy.stats import t

    return float(2 * t.sf(apart, max(freedom, 1)))


def _reason(jump: LabelJump) -> str:
    of = f" of {jump.name}" if jump.name else ""
    told = f"labels{of} jump from {jump.before:.2f} to {jump.after:.2f} on {jump.since:%Y-%m-%d}"
    told += f", and outputs change by {jump.outputs:+.2f}"
    before, after = jump.rows
    if abs(math.log(max(after, 1) / max(before, 1))) > math.log(1.25):
        told += f"; {after:,.0f} labels a day where there were {before:,.0f}"
    if jump.moved:
        return f"{told}; inputs that moved may explain it: {', '.join(jump.moved[:5])}"
    return f"{told}: probably a fault in how labels are made, not a changed world"
