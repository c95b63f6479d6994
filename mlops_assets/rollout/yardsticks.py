"""What outcomes are measured by, taken from the champion before a rollout begins."""

from typing import TYPE_CHECKING, Any

from mlops_assets.specs.tasks import Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

_TENTHS = 10
_NEARLY_ALL = 0.99
# Of fewer answers the slowest hundredth is a matter of chance.
_FEWEST_ANSWERS = 1_000


def tenths(predicted: "Array") -> tuple[float, ...]:
    """Return where predictions are cut into tenths; fewer cuts where many are the same.

    Args:
        predicted: The champion's predictions, one number each; shape (n,).
    """
    import numpy as np

    cuts = np.quantile(predicted, np.arange(1, _TENTHS) / _TENTHS)
    return tuple(float(cut) for cut in np.unique(cuts) if cut < predicted.max())


def loss_scale(task: Task, target: "Array", predicted: "Array") -> float | None:
    """Return the error that nearly all of the champion's stayed below; None unless it is a regression."""
    import numpy as np

    if task != "regression":
        return None
    error = np.abs(np.asarray(target, dtype="float64") - np.asarray(predicted, dtype="float64"))
    return float(np.quantile(error, _NEARLY_ALL)) or 1.0


def nearly_all_below_ms(took_ms: "Array", otherwise: float | None) -> float | None:
    """Return the time that nearly all of the champion's answers stayed below, in milliseconds.

    Args:
        took_ms: What each of its recent answers took; shape (n,).
        otherwise: What counts if there are too few; None if nothing does.
    """
    import numpy as np

    if len(took_ms) < _FEWEST_ANSWERS:
        return otherwise
    return float(np.quantile(took_ms, _NEARLY_ALL))


def ms_per_row(latency_ms: "pd.Series[float]", request: "pd.Series[str]") -> "pd.Series[float]":
    """Return what each row took, as its part of the latency of its request: what it costs.

    What a processor costs is left out. Both arms run on the same, so that prices would not change the shares.

    Args:
        latency_ms: Latency of the request that each row was in, milliseconds; shape (n,).
        request: Which request that was; shape (n,).
    """
    return latency_ms / request.groupby(request).transform("size")
