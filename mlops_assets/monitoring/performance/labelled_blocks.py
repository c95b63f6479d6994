"""What is kept of labelled rows for tests over time: a few sums for each day or hour.

A block is taken anew from all its rows whenever its window is looked at again, so that late labels and a pass
that was run twice leave what one pass over all of them would have left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.byte_form import ByteForm
from mlops_assets.specs.tasks import Task

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_FORM = ByteForm("labelled blocks", 1)
LENGTHS = {"hour": 3_600_000_000, "day": 86_400_000_000}
# A mean of fewer rows hardly tells anything, and is not nearly normal.
FEWEST_ROWS = 20
_SUMMED = ("loss", "loss_square", "label", "output", "residual_square")
_ARRAYS = ("starts", "hours", "rows", *_SUMMED)


@dataclass(frozen=True, eq=False)
class LabelledBlocks:
    """Means over the labelled rows of blocks, in order of time.

    Attributes:
        starts: When each begins; datetime64[us], shape (blocks,).
        hours: How long each is, shape (blocks,).
        rows: How many labelled rows it has, shape (blocks,).
        loss: Mean loss, from 0 to 1; shape (blocks,).
        loss_square: Mean of its square.
        label: Mean label, shape (blocks, k): of two classes whether it is the second one, of more whether it
            is each of them, of values the value over the scale, but no more than 1 from the prediction.
        output: Mean prediction of the same.
        residual_square: Mean square of label minus prediction; shape (blocks, k).
    """

    starts: "Array"
    hours: "Array"
    rows: "Array"
    loss: "Array"
    loss_square: "Array"
    label: "Array"
    output: "Array"
    residual_square: "Array"

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def residual(self) -> "Array":
        """Mean of label minus prediction, shape (blocks, k)."""
        residual: Array = self.label - self.output
        return residual

    def select(self, which: "Array | slice") -> "LabelledBlocks":
        """Return some of the blocks, by their places or by truth values."""
        return LabelledBlocks(*(getattr(self, name)[which] for name in _ARRAYS))

    def followed_by(self, later: "LabelledBlocks") -> "LabelledBlocks":
        """Return the blocks of both, one after the other whatever their times: a hold-out may overlap."""
        import numpy as np

        return LabelledBlocks(
            *(np.concatenate([getattr(self, name), getattr(later, name)]) for name in _ARRAYS)
        )

    def of_enough_rows(self, fewest: int = FEWEST_ROWS) -> "LabelledBlocks":
        """Return blocks of so many rows at least, each put together from neighbours.

        Later blocks do not change how earlier ones are put together; what is left at the end waits for them.
        """
        import numpy as np

        ends, rows = [], 0.0
        for place, more in enumerate(self.rows):
            rows += more
            if rows >= fewest:
                ends.append(place + 1)
                rows = 0.0
        if not ends:
            return self.select(slice(0, 0))
        firsts, whole = np.array([0, *ends[:-1]]), self.select(slice(0, ends[-1]))
        count = np.add.reduceat(whole.rows, firsts)

        def mean(values: "Array") -> "Array":
            return np.asarray((np.add.reduceat((whole.rows * values.T).T, firsts).T / count).T)

        means = (mean(getattr(whole, name)) for name in _SUMMED)
        return LabelledBlocks(whole.starts[firsts], np.add.reduceat(whole.hours, firsts), count, *means)

    def to_bytes(self) -> bytes:
        """Return the one byte form."""
        arrays = []
        for name in _ARRAYS:
            array = getattr(self, name)
            plain = array.astype("datetime64[us]").astype("<i8") if name == "starts" else array.astype("<f8")
            arrays.append((name, plain.shape, plain.tobytes()))
        return _FORM.write(arrays)

    @classmethod
    def from_bytes(cls, content: bytes) -> "LabelledBlocks":
        """Return what :meth:`to_bytes` wrote.

        Raises:
            ValueError: These are no such bytes.
        """
        import numpy as np

        with _FORM.reading(content) as (arrays,):
            found = {
                name: np.frombuffer(data, "<i8" if name == "starts" else "<f8").reshape(shape)
                for name, shape, data in arrays
            }
            found["starts"] = found["starts"].astype("datetime64[us]")
            return cls(*(found[name] for name in _ARRAYS))


def labelled_blocks(
    task: Task,
    outputs: "Array",
    target: "Array",
    times: "Array",
    *,
    scale: float = 1.0,
    length: str = "day",
    weights: "Array | None" = None,
    classes: "Sequence[int] | None" = None,
) -> LabelledBlocks:
    """Return the blocks of labelled rows.

    The loss is the Brier score (of several classes half of it), or the absolute error over the scale, cut off
    at 1.

    Args:
        task: What is predicted.
        outputs: Predictions, shape (n,) or (n, classes).
        target: Encoded targets, shape (n,).
        times: When each row's event happened; datetime64, naive UTC, shape (n,).
        scale: Of a regression the error that counts as a loss of 1, see
            :func:`mlops_assets.rollout.yardsticks.loss_scale`. It must be the same for all blocks.
        length: ``day`` or ``hour``.
        weights: How much each row counts, shape (n,); all alike if not given.
        classes: Which classes' labels are followed; all if not given.
    """
    import numpy as np

    stretches, member = np.unique(
        times.astype("datetime64[us]").astype("int64") // LENGTHS[length], return_inverse=True
    )
    counts = np.bincount(member, minlength=len(stretches))
    every = np.ones(len(target)) if weights is None else weights
    total = np.bincount(member, every, len(stretches))

    def means(values: "Array") -> "Array":
        columns = (values[:, None] if values.ndim == 1 else values).T
        found = np.stack([np.bincount(member, every * each, len(stretches)) / total for each in columns], -1)
        return found[:, 0] if values.ndim == 1 else found

    label, said, loss = _in_common_terms(task, outputs, target, scale, classes)
    residual = label - said
    return LabelledBlocks(
        starts=(stretches * LENGTHS[length]).astype("datetime64[us]"),
        hours=np.full(len(stretches), LENGTHS[length] / LENGTHS["hour"]),
        rows=counts.astype(float),
        loss=means(loss),
        loss_square=means(loss**2),
        label=means(label),
        output=means(said),
        residual_square=means(residual**2),
    )


def _in_common_terms(
    task: Task, outputs: "Array", target: "Array", scale: float, classes: "Sequence[int] | None"
) -> "tuple[Array, Array, Array]":
    """Return labels and predictions of shape (n, k), in [0, 1] or close by, and the loss of each row."""
    import numpy as np

    if task == "regression":
        error = np.clip((target - outputs) / scale, -1, 1)
        # So that one wild label does not pass for a change of level.
        said = outputs / scale
        return (said + error)[:, None], said[:, None], np.abs(error)
    if outputs.ndim == 1:
        return target[:, None], outputs[:, None], (target - outputs) ** 2
    label = (target[:, None] == np.arange(outputs.shape[1])).astype(float)
    loss = ((label - outputs) ** 2).sum(axis=1) / 2
    kept = slice(None) if classes is None else list(classes)
    return label[:, kept], outputs[:, kept], loss
