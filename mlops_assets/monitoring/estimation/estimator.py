"""The estimator of a model: fitted on its hold-out, kept beside it, asked of each window.

It is kept as plain arrays and ONNX graphs. Reading one runs no code of whoever wrote it.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets import digests
from mlops_assets.errors import DataError, PackageError
from mlops_assets.evaluation.block_jackknife import numbered
from mlops_assets.monitoring.estimation.confidence_model import ConfidenceModel, fit_confidence_model
from mlops_assets.monitoring.estimation.estimate import BlockEffect, Estimate, Window, make_estimate
from mlops_assets.monitoring.estimation.loss_model import LossModel, fit_loss_model
from mlops_assets.monitoring.estimation.support import Support
from mlops_assets.specs.tasks import Task

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FORMAT = 1
_MOST_BLOCKS = 30
_FEWEST_ROWS = 30


@dataclass(frozen=True, eq=False)
class Estimator:
    """Tells what the metrics of a window will be measured to be, before its labels are known.

    That like rows have other labels now than in the hold-out (concept drift) it cannot see; see
    :func:`mlops_assets.monitoring.estimation.audit.judge_coverage`, which does once labels come.

    Attributes:
        task: What the model predicts.
        model: What was learnt from the hold-out.
        effects: How alike the rows of one day are, by metric.
        supports: How often which outputs occur in the hold-out; one for each column of outputs.
    """

    task: Task
    model: ConfidenceModel | LossModel
    effects: dict[str, BlockEffect]
    supports: tuple[Support, ...]

    @property
    def note(self) -> str:
        """What was learnt from the hold-out and what was not, for the reader."""
        return self.model.note

    def estimate(
        self,
        outputs: "Array",
        *,
        inputs: "Array | None" = None,
        counts: "Array | None" = None,
        block_rows: "Sequence[int] | Array | None" = None,
        confidence: float = 0.95,
    ) -> "dict[str, Estimate]":
        """Return each metric that can be told, with the interval in which it will be measured.

        Where the outputs of a binary classifier are kept as a histogram, the means of its cells are given
        with their counts, and rows of one cell count as equal. With 1,000 cells of equal width in log odds
        every figure is off by less than 0.001. With cells of equal width accuracy and the Brier score are
        off by no more than that width, but intervals become wider where a cell takes up more than a
        hundredth of the hold-out, as then it is not known which of its outputs are served.

        Args:
            outputs: As served: the probability of the second class, shape (n,); all probabilities, shape
                (n, classes); or values, shape (n,).
            inputs: The inputs of a regression, in the order in which it was fitted; shape (n, width).
            counts: How many rows have each output, shape (n,); one each if not given.
            block_rows: How many rows each day of the window has; as in the hold-out if not given.
            confidence: How often a metric is to be measured inside its interval.

        Raises:
            DataError: Outputs or inputs are not of the shape that was fitted, or not numbers.
        """
        import numpy as np

        outputs = np.asarray(outputs, dtype="float64")
        counts = np.ones(len(outputs)) if counts is None else np.asarray(counts, dtype="float64")
        inputs = None if inputs is None else np.asarray(inputs, dtype="float64")
        _require_numbers(outputs, "outputs")
        self._require_form(outputs, inputs)
        if not counts.sum() > 0:
            return {}
        days = None if block_rows is None else np.asarray(block_rows, dtype="float64")
        columns = zip(self.supports, outputs.reshape(len(outputs), -1).T, strict=True)
        support = min(each.worth(column, counts) for each, column in columns)
        window = Window(int(counts.sum()), days, support)
        expected = self.model.expect(outputs, counts, inputs)
        return {
            name: make_estimate(name, each, self.effects[name], window, confidence)
            for name, each in expected.items()
            if name in self.effects
        }

    def to_bytes(self) -> bytes:
        """Return the form in which it is kept, a zip of arrays: the same bytes for the same estimator."""
        import numpy as np

        facts, arrays = self.model.parts()
        for k, support in enumerate(self.supports):
            arrays |= {f"support.{k}.edges": support.edges, f"support.{k}.rows": support.rows}
        header = {
            "format": FORMAT,
            "task": self.task,
            "effects": {name: asdict(effect) for name, effect in self.effects.items()},
            "supports": len(self.supports),
            "model": facts,
        }
        file = io.BytesIO()
        arrays["header"] = np.frombuffer(digests.canonical_json(header), dtype="uint8")
        np.savez_compressed(file, allow_pickle=False, **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Estimator":
        """Return the estimator that :meth:`to_bytes` wrote.

        Raises:
            PackageError: The content is no estimator, or of another format.
        """
        import numpy as np

        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            header = json.loads(arrays.pop("header").tobytes())
            known = header["format"] == FORMAT
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise PackageError(f"this is no performance estimator: {error}; fit it again") from error
        if not known:
            raise PackageError("the performance estimator has another format; fit it again with this version")
        model = LossModel if header["task"] == "regression" else ConfidenceModel
        effects = {name: BlockEffect(**effect) for name, effect in header["effects"].items()}
        supports = (
            Support(arrays[f"support.{k}.edges"], arrays[f"support.{k}.rows"])
            for k in range(header["supports"])
        )
        return cls(header["task"], model.from_parts(header["model"], arrays), effects, tuple(supports))

    def _require_form(self, outputs: "Array", inputs: "Array | None") -> None:
        model = self.model
        width = (1 if isinstance(model, LossModel) else len(model.maps),)
        found = outputs.shape[1:] or (1,)
        if found != width or outputs.ndim > 2:
            raise DataError(
                f"the outputs have shape {outputs.shape}, and the estimator was fitted on {width[0]} each"
            )
        if isinstance(model, LossModel):
            given = (len(outputs), 0) if inputs is None else inputs.shape
            if given != (len(outputs), model.width):
                raise DataError(
                    f"the estimator was fitted on {model.width} inputs and asked with shape {given} for "
                    f"{len(outputs):,} rows; give the inputs of every row, in the order of the hold-out's"
                )


def fit_estimator(
    task: Task,
    outputs: "Array",
    labels: "Array",
    blocks: "Array",
    *,
    inputs: "Array | None" = None,
    seed: int = 0,
) -> Estimator:
    """Return an estimator that is fitted on a hold-out, or on the labelled rows of a newer window.

    The rows must not be those that the model was trained on: its outputs for them are too sure.

    Args:
        task: What the model predicts.
        outputs: As served, see :meth:`Estimator.estimate`.
        labels: Encoded targets, see :func:`mlops_assets.evaluation.metrics.encode_target`; shape (n,).
        blocks: Which block each row belongs to, see :func:`mlops_assets.evaluation.intervals.time_blocks`.
        inputs: The model's inputs as numbers, shape (n, width), missing ones NaN. Only a regression needs
            them; without them the size of its errors is learnt from its predictions alone.
        seed: Seed of the learning.

    Raises:
        DataError: There are fewer than thirty rows, values that are not numbers, or not as many of one as of
            the other.
    """
    import numpy as np

    outputs, labels = np.asarray(outputs, dtype="float64"), np.asarray(labels, dtype="float64")
    if len(labels) < _FEWEST_ROWS:
        raise DataError(
            f"the hold-out has {len(labels)} rows, and to estimate performance takes {_FEWEST_ROWS}; "
            "widen evaluation.holdout"
        )
    _require_numbers(outputs, "outputs")
    _require_numbers(labels, "labels")
    given = None if inputs is None else np.asarray(inputs, dtype="float64")
    lengths = {len(outputs), len(labels), len(blocks), *(() if given is None else (len(given),))}
    if len(lengths) > 1:
        raise DataError(f"outputs, labels, blocks and inputs have different lengths: {sorted(lengths)}")
    member = numbered(blocks)
    count = int(member.max()) + 1
    member = member * min(count, _MOST_BLOCKS) // count
    model: ConfidenceModel | LossModel
    if task == "regression":
        model, residuals = fit_loss_model(outputs, labels, given, member, seed)
    else:
        model, residuals = fit_confidence_model(outputs, labels, blocks, member)
    effects = {name: BlockEffect.of(each, blocks) for name, each in residuals.items()}
    return Estimator(task, model, effects, tuple(map(Support.of, outputs.reshape(len(outputs), -1).T)))


def _require_numbers(values: "Array", what: str) -> None:
    import numpy as np

    if wrong := int((~np.isfinite(values)).sum()):
        raise DataError(
            f"{wrong:,} of {values.size:,} {what} are not numbers; performance cannot be estimated"
        )
