"""What a version's outcomes are held against: made when it is trained, and signed with its package.

What monitoring compares inputs and predictions with is :mod:`~mlops_assets.monitoring.reference`; this is the
part that labels tell of.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DataError
from mlops_assets.evaluation.metrics import encode_target, metrics_of
from mlops_assets.monitoring.byte_form import ByteForm
from mlops_assets.monitoring.estimation.estimator import Estimator, fit_estimator
from mlops_assets.monitoring.performance.blocks import blocks_of
from mlops_assets.monitoring.performance.importance import Importance, permutation_importance
from mlops_assets.monitoring.performance.labelled_blocks import LabelledBlocks, labelled_blocks
from mlops_assets.monitoring.performance.measured import Measured, measure_metrics
from mlops_assets.monitoring.windows import Period
from mlops_assets.rollout.yardsticks import loss_scale
from mlops_assets.training.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

FILE = "performance.msgpack"
# Labels of more classes are not followed one by one.
_MOST_CLASSES = 10
# A number of no more values is a code rather than an amount, as in :mod:`mlops_assets.evaluation.groups`.
_MOST_CODES = 10
# More rows hardly teach an estimator more.
_MOST_FITTED = 50_000
_FORM = ByteForm("standard of performance", 1, "train the model again")


@dataclass(frozen=True, eq=False)
class PerformanceStandard:
    """How a version did on its hold-out.

    Attributes:
        metrics: Each metric that is defined there.
        blocks: Its days or hours, for tests over time.
        scale: Of a regression the error that counts as a loss of 1; else 1.
        followed: Which classes' labels are followed one by one; none unless there are more than two.
        importance: What it takes from each input.
        cuts: Where a column of groups that holds amounts is cut in three, by its name.
        spread: Standard deviation of the target, in which gaps of values are told.
        estimator_bytes: What tells performance before labels come; None where it could not be learnt.
        why_no_estimate: Why not.
    """

    metrics: Mapping[str, Measured]
    blocks: LabelledBlocks
    scale: float
    followed: tuple[int, ...]
    importance: Importance
    cuts: Mapping[str, tuple[float, float]]
    spread: float
    estimator_bytes: bytes | None
    why_no_estimate: str = ""

    @cached_property
    def estimator(self) -> Estimator | None:
        """What tells performance before labels come."""
        return None if self.estimator_bytes is None else Estimator.from_bytes(self.estimator_bytes)

    def to_bytes(self) -> bytes:
        """Return the one byte form."""
        value = {
            "metrics": {name: asdict(each) for name, each in self.metrics.items()},
            "blocks": self.blocks.to_bytes(),
            "scale": self.scale,
            "followed": self.followed,
            "importance": self.importance.to_bytes(),
            "cuts": self.cuts,
            "spread": self.spread,
            "estimator_bytes": self.estimator_bytes,
            "why_no_estimate": self.why_no_estimate,
        }
        return _FORM.write(value)

    @classmethod
    def from_bytes(cls, content: bytes) -> "PerformanceStandard":
        """Return what :meth:`to_bytes` wrote.

        Raises:
            ValueError: These are no such bytes.
        """
        with _FORM.reading(content) as (value,):
            value["metrics"] = {name: Measured(**each) for name, each in value["metrics"].items()}
            value["blocks"] = LabelledBlocks.from_bytes(value["blocks"])
            value["importance"] = Importance.from_bytes(value["importance"])
            value["followed"] = tuple(value["followed"])
            value["cuts"] = {name: (low, high) for name, (low, high) in value["cuts"].items()}
            return cls(**value)


def standard_of(
    rows: "pd.DataFrame",
    times: "pd.Series[Any]",
    predict: "Callable[[pd.DataFrame], Array]",
    version: Manifest,
    primary_metric: str,
    groups: Sequence[str],
    window: Period,
) -> PerformanceStandard:
    """Return how a version does on rows that it was not trained on.

    Args:
        rows: The hold-out: inputs and target, in their declared types.
        times: When its events happened.
        predict: The version.
        version: What it is.
        primary_metric: The metric that counts.
        groups: Columns of groups of people.
        window: Length of the windows that are watched.
    """
    import numpy as np

    inputs = [column.name for column in version.inputs]
    target = encode_target(rows[version.target], version.task, version.classes)
    said = np.asarray(predict(rows), dtype="float64")
    at = times.to_numpy().astype("datetime64[us]")
    scale = loss_scale(version.task, target, said) or 1.0
    followed = _followed(target, version)
    importance = permutation_importance(predict, rows, target, primary_metric, inputs)
    estimator, why_not = _estimator(rows, said, target, at, version)
    return PerformanceStandard(
        metrics=measure_metrics(metrics_of(version.task), target, said, blocks_of(at)),
        blocks=labelled_blocks(
            version.task,
            said,
            target,
            at,
            scale=scale,
            length=block_length(window),
            classes=followed or None,
        ),
        scale=scale,
        followed=followed,
        importance=importance,
        cuts={name: cut for name in groups if name in rows and (cut := _cut(rows[name])) is not None},
        spread=float(target.std()) or 1.0,
        estimator_bytes=estimator,
        why_no_estimate=why_not,
    )


def block_length(window: Period) -> str:
    """Return the length of the blocks by which labels are followed."""
    return "hour" if window == "hour" else "day"


def numeric_inputs(version: Manifest) -> list[str]:
    """Return the inputs that an estimator of errors learns from: numbers that the log keeps as they are."""
    numbers = ("number", "integer", "boolean")
    return [each.name for each in version.inputs if each.type in numbers and each.log == "keep"]


def _followed(target: "Array", version: Manifest) -> tuple[int, ...]:
    import numpy as np

    if version.task != "multiclass_classification":
        return ()
    often = np.bincount(target.astype(int), minlength=len(version.classes)).argsort()[::-1]
    return tuple(sorted(int(code) for code in often[:_MOST_CLASSES]))


def _estimator(
    rows: "pd.DataFrame", said: "Array", target: "Array", at: "Array", version: Manifest
) -> tuple[bytes | None, str]:
    import numpy as np

    every = -(-len(target) // _MOST_FITTED)
    some = slice(None, None, every)
    inputs = None
    if version.task == "regression" and (names := numeric_inputs(version)):
        inputs = rows[names].iloc[some].to_numpy(dtype="float64", na_value=np.nan)
    days = at[some].astype("datetime64[D]").astype("int64")
    try:
        fitted = fit_estimator(version.task, said[some], target[some], days, inputs=inputs)
    except DataError as error:
        return None, str(error)
    return fitted.to_bytes(), ""


def _cut(values: "pd.Series[Any]") -> tuple[float, float] | None:
    """Return where amounts are cut in three, as gate ``fairness`` cuts them; None of what is no amount."""
    import numpy as np
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return None
    known = values.dropna().to_numpy(dtype="float64")
    if len(np.unique(known)) <= _MOST_CODES:
        return None
    low, high = np.quantile(known, [1 / 3, 2 / 3], method="lower").tolist()
    return low, high
