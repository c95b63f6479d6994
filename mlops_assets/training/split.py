"""The time-ordered split: a model is judged on rows newer than all it was trained on."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DataError

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
            f"a hold-out of {holdout.days} days splits {len(times):,} rows into {older:,} to train on and "
            f"{newer:,} to judge by; change evaluation.holdout or data.window"
        )
    return start


def require_classes(target: "np.ndarray[Any, Any]", name: str, part: str) -> None:
    """Refuse a target that has nothing to tell apart.

    Raises:
        DataError: The target is missing somewhere, or has one class only.
    """
    import pandas as pd

    if (missing := int(pd.isna(target).sum())) > 0:
        raise DataError(f"target {name!r} is missing in {missing:,} rows of the {part}")
    classes = pd.unique(target)
    if len(classes) < 2:
        raise DataError(
            f"target {name!r} has one class ({classes[0]!r}) in the {part}; widen data.window or check "
            "how the target is made"
        )
