"""Concept drift: what holds between inputs and labels is no longer what the model learnt.

Two figures of labelled rows are followed, block by block: the loss, and the calibration, that is by how much
labels are higher than predictions. Inputs that move to where rows are harder raise the loss and leave the
calibration as it was; a changed world moves one or both. Each is tested by
:mod:`~mlops_assets.monitoring.performance.change_detection`, the calibration in either direction and for each
class, and the budget of false alarms is divided among them.

Labels that jump by themselves are no concept drift, see
:mod:`~mlops_assets.monitoring.performance.label_jump`: blocks from the jump on are not tested.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.performance.change_detection import (
    FEWEST_STABLE,
    Change,
    rise,
    stable_level,
)
from mlops_assets.monitoring.performance.label_jump import LabelJump
from mlops_assets.monitoring.performance.labelled_blocks import LabelledBlocks

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# The loss is what harms; a model may be off its calibration in many ways.
_SHARE_OF_LOSS = 0.5


@dataclass(frozen=True)
class Drift:
    """One figure that has left its level.

    Attributes:
        figure: ``loss``, or ``calibration`` with the direction and the class.
        since: When the change most likely began.
        found: When the block ended that raised the alarm.
        before: The figure's level before.
        size: By how much it has changed since.
        error: Standard error of that.
    """

    figure: str
    since: datetime
    found: datetime
    before: float
    size: float
    error: float

    def __str__(self) -> str:
        return (
            f"{self.figure} {self.before:.4g} before {self.since:%Y-%m-%d %H:%M}, "
            f"{self.size:+.4g} ± {self.error:.2g} since"
        )


@dataclass(frozen=True)
class ConceptDrift:
    """What the tests say after a block.

    Attributes:
        drifts: The figures that have changed, in the order in which this was found.
        evidence: How near the test that is nearest to an alarm has come, from 0 to 1.
        blocks: How many blocks were tested.
        reason: In one sentence.
        told: Whether anything could be told.
    """

    drifts: tuple[Drift, ...]
    evidence: float
    blocks: int
    reason: str
    told: bool = True


def concept_drift(
    stable: LabelledBlocks,
    since: LabelledBlocks,
    *,
    budget: float,
    least_loss: float = 0.0,
    least_residual: float = 0.0,
    names: Sequence[str] = ("",),
    jump: LabelJump | None = None,
) -> ConceptDrift:
    """Return whether loss or calibration have left the level of a stable past.

    Args:
        stable: Blocks of the hold-out, and of windows in which nothing was wrong.
        since: Blocks after these, in order of time, from the first that the version served.
        budget: False alarms a quarter that all tests together may raise.
        least_loss: A rise of the mean loss by no more than this is none.
        least_residual: A change of the mean residual by no more than this is none.
        names: Of the classes whose labels are followed; one empty name if there is but one column.
        jump: What was found of the labels; blocks from it on are left out.
    """
    stable, since = stable.of_enough_rows(), since.of_enough_rows()
    if len(stable) < FEWEST_STABLE:
        reason = f"{len(stable)} stable blocks of labelled rows; a test needs {FEWEST_STABLE}"
        return ConceptDrift((), 0.0, 0, reason, told=False)
    if jump is not None:
        since = since.select(since.starts.astype("datetime64[us]").astype(object) < jump.since)
    tests = list(_tests(stable, since, budget, least_loss, least_residual, names))
    drifts = sorted(
        (_drift(name, change, level, since) for name, change, level in tests if change.alarm is not None),
        key=lambda drift: (drift.found, drift.figure),
    )
    evidence = max((float(change.evidence[-1]) for _, change, _ in tests if len(since)), default=0.0)
    return ConceptDrift(tuple(drifts), min(evidence, 1.0), len(since), _reason(drifts, len(since), jump))


def _reason(drifts: Sequence[Drift], blocks: int, jump: LabelJump | None) -> str:
    told = "; ".join(map(str, drifts[:3])) or f"no change of loss or calibration shown in {blocks} blocks"
    return f"{told}; from {jump.since:%Y-%m-%d} on nothing is tested: {jump.reason}" if jump else told


def _tests(
    stable: LabelledBlocks,
    since: LabelledBlocks,
    budget: float,
    least_loss: float,
    least_residual: float,
    names: Sequence[str],
) -> "Iterator[tuple[str, Change, float]]":
    usual = float(stable.rows.mean())

    def test(
        figure: str, before: "Array", now: "Array", within: float, share: float, least: float, sign: int
    ) -> tuple[str, Change, float]:
        level = stable_level(sign * before, stable.rows, within)
        found = rise(
            level,
            sign * now,
            since.rows,
            hours=since.hours,
            budget=budget * share,
            least=least,
            stable_rows=usual,
        )
        return figure, found, sign * level.mean

    within = _within(stable.loss, stable.loss_square, stable.rows)
    yield test("loss", stable.loss, since.loss, within, _SHARE_OF_LOSS, least_loss, 1)
    share = (1 - _SHARE_OF_LOSS) / (2 * len(names))
    for column, name in enumerate(names):
        before, now = stable.residual[:, column], since.residual[:, column]
        within = _within(before, stable.residual_square[:, column], stable.rows)
        of = f" of {name}" if name else ""
        for sign, direction in ((1, "above"), (-1, "below")):
            figure = f"labels{of} {direction} predictions"
            yield test(figure, before, now, within, share, least_residual, sign)


def _within(means: "Array", squares: "Array", rows: "Array") -> float:
    """Return the variance of a row within its block."""
    import numpy as np

    freedom = np.maximum(rows - 1, 1).sum()
    return float(max((rows * (squares - means**2)).sum() / freedom, 0.0))


def _drift(figure: str, change: Change, level: float, since: LabelledBlocks) -> Drift:
    assert change.alarm is not None
    assert change.began is not None
    starts = since.starts.astype("datetime64[us]")
    sign = -1 if "below" in figure else 1
    return Drift(
        figure,
        starts[change.began].item(),
        starts[change.alarm].item() + timedelta(hours=float(since.hours[change.alarm])),
        level,
        sign * change.size,
        change.error,
    )
