"""How well a model probably does before labels tell, and whether such estimates have held."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DataError
from mlops_assets.evaluation.metrics import higher_is_better
from mlops_assets.monitoring.assessment.answers import Answers
from mlops_assets.monitoring.assessment.history import History
from mlops_assets.monitoring.assessment.record import EstimatedMetric
from mlops_assets.monitoring.assessment.subject import Subject
from mlops_assets.monitoring.estimation.audit import judge_coverage
from mlops_assets.monitoring.estimation.estimate import Estimate
from mlops_assets.monitoring.estimation.widening import widen
from mlops_assets.monitoring.performance.standard import numeric_inputs
from mlops_assets.prediction_log.served_window import ServedWindow

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# More rows hardly change an estimate, and would take memory for their inputs.
_MOST_ROWS = 20_000
TRUSTWORTHY = "trustworthy"


@dataclass(frozen=True)
class Estimates:
    """What is estimated of a window.

    Attributes:
        told: By metric, as it is shown.
        given: The same as it is kept for the audit.
        missing: Why there is nothing; empty if there is.
    """

    told: dict[str, EstimatedMetric] = field(default_factory=dict)
    given: dict[str, Estimate] = field(default_factory=dict)
    missing: str = ""


def estimates_of(served: ServedWindow, answers: Answers, subject: Subject, history: History) -> Estimates:
    """Return what the metrics of a window will probably be measured to be.

    Args:
        served: The window of the prediction log, which holds the inputs.
        answers: What the version answered.
        subject: The version.
        history: The windows before it, with what was estimated and measured of them.
    """
    import numpy as np

    standard = subject.standard
    if standard is None or standard.estimator is None:
        return Estimates(missing=standard.why_no_estimate if standard else "the version has no hold-out kept")
    every = max(-(-len(answers) // _MOST_ROWS), 1)
    inputs = _inputs(served, answers, subject, every) if subject.spec.task == "regression" else None
    days = np.unique(answers.times[::every].astype("datetime64[D]"), return_counts=True)[1]
    confidence = 0.95
    try:
        found = standard.estimator.estimate(
            answers.outputs[::every], inputs=inputs, block_rows=days, confidence=confidence
        )
    except DataError as error:
        return Estimates(missing=str(error))
    told, given = {}, {}
    for metric, estimate in found.items():
        audited = history.audited(metric)
        given[metric] = widen(estimate, audited)
        trust = judge_coverage(audited, confidence)
        told[metric] = EstimatedMetric(
            value=given[metric].value,
            low=given[metric].low,
            high=given[metric].high,
            trust=trust.verdict,
            why=trust.reason,
        )
    return Estimates(told, given)


def estimated_harm(estimates: Estimates, subject: Subject) -> str:
    """Return in a sentence what harm is estimated by an estimator that may be trusted; empty if none.

    The whole interval has to lie beyond the hold-out's figure by more than the tolerance, as with labels.
    """
    metric, standard = subject.spec.evaluation.primary_metric, subject.standard
    found = estimates.told.get(metric)
    promised = standard.metrics.get(metric) if standard else None
    if found is None or promised is None or found.trust != TRUSTWORTHY:
        return ""
    tolerance, up = subject.spec.monitoring.tolerance, higher_is_better(metric)
    best = found.high if up else found.low
    if (promised.value - best if up else best - promised.value) <= tolerance:
        return ""
    return (
        f"{metric} is estimated at {found.value:.4f} [{found.low:.4f}, {found.high:.4f}] against "
        f"{promised.value:.4f} on the hold-out: worse by more than {tolerance:g}; {found.why}"
    )


def _inputs(served: ServedWindow, answers: Answers, subject: Subject, every: int) -> "Array | None":
    """Return the inputs that the estimator of a regression learnt from, of every so-manieth row."""
    import numpy as np

    names = numeric_inputs(subject.manifest)
    if not names:
        return None
    columns = []
    for name in names:
        parts = [_floats(chunk) for chunk in served.values(name, subject.version)]
        whole = np.concatenate(parts) if parts else np.empty(0)
        columns.append(whole[answers.kept][::every])
    return np.column_stack(columns)


def _floats(values: Any) -> "Array":
    """Return values as numbers, NaN for what is none."""
    import numpy as np
    import pyarrow as pa

    if (
        pa.types.is_floating(values.type)
        or pa.types.is_integer(values.type)
        or pa.types.is_boolean(values.type)
    ):
        return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype="float64")
    return np.full(len(values), np.nan)
