"""The time-ordered split: a model is judged on rows newer than all it was trained on."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DataError
from mlops_assets.specs.durations import format_duration
from mlops_assets.specs.tasks import Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_FEWEST = 20


def holdout_start(times: "pd.Series[Any]", holdout: timedelta) -> datetime:
    """Return the time at which the hold-out begins: ``holdout`` before the newest row.

    Raises:
        DataError: Either side of the split would have fewer than 20 rows.
    """
    start: datetime = (times.max() - holdout).to_pydatetime()
    newer = int((times >= start).sum())
    older = len(times) - newer
    if min(newer, older) < _FEWEST:
        raise DataError(
            f"a hold-out of {format_duration(holdout)} splits {len(times):,} rows into {older:,} to "
            f"train on and {newer:,} to judge by; change evaluation.holdout or data.window"
        )
    return start


def require_target(target: "np.ndarray[Any, Any]", task: Task, name: str, part: str) -> None:
    """Refuse a target from which the task cannot be learnt.

    Args:
        target: The column to predict.
        task: What to predict.
        name: Name of the column.
        part: Which rows these are, for the message.

    Raises:
        DataError: The target is missing somewhere, is no number where a number is to be predicted,
            has nothing to tell apart, or more than two classes where there are to be two.
    """
    import numpy as np
    import pandas as pd

    if (missing := int(pd.isna(target).sum())) > 0:
        raise DataError(f"target {name!r} is missing in {missing:,} rows of the {part}")
    classes = pd.unique(target).tolist()
    if len(classes) < 2:
        raise DataError(
            f"target {name!r} has one class ({classes[0]!r}) in the {part}; widen data.window or check "
            "how the target is made"
        )
    if task == "binary_classification" and len(classes) > 2:
        shown = ", ".join(map(repr, classes[:5]))
        raise DataError(
            f"target {name!r} has {len(classes)} classes ({shown}) in the {part}, and a binary "
            "classification has two; the task may be multiclass_classification or regression"
        )
    if task == "regression" and not np.issubdtype(target.dtype, np.number):
        raise DataError(f"target {name!r} holds {classes[0]!r}, and a regression predicts numbers")
