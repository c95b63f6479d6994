"""What outcomes are measured by, taken from the champion before a rollout begins."""

from typing import TYPE_CHECKING, Any

from mlops_assets.specs.tasks import Task

if TYPE_CHECKING:
    import numpy as np

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


def slow_ms(latency_ms: "Array", otherwise: float | None) -> float | None:
    """Return the latency that nearly all of the champion's answers stayed below, in milliseconds.

    Args:
        latency_ms: Of its recent answers; shape (n,).
        otherwise: What counts if there are too few; None if nothing does.
    """
    import numpy as np

    if len(latency_ms) < _FEWEST_ANSWERS:
        return otherwise
    return float(np.quantile(latency_ms, _NEARLY_ALL))
