"""What labels say of a window: performance, harm, concept drift, labels that jump, gaps between groups."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.fairness import group_columns
from mlops_assets.evaluation.group_rates import decisions_of
from mlops_assets.monitoring.assessment.answers import Answers
from mlops_assets.monitoring.assessment.history import History, joined
from mlops_assets.monitoring.assessment.record import Told
from mlops_assets.monitoring.assessment.subject import Span, Subject
from mlops_assets.monitoring.performance.blocks import blocks_of
from mlops_assets.monitoring.performance.concept_drift import ConceptDrift, concept_drift
from mlops_assets.monitoring.performance.group_gaps import measure_gaps
from mlops_assets.monitoring.performance.grouping import group_window
from mlops_assets.monitoring.performance.harm import Harm, judge
from mlops_assets.monitoring.performance.label_jump import LabelJump, label_jump
from mlops_assets.monitoring.performance.labelled_blocks import LabelledBlocks, labelled_blocks
from mlops_assets.monitoring.performance.measured import Measured
from mlops_assets.monitoring.performance.standard import PerformanceStandard, block_length
from mlops_assets.monitoring.performance.window_performance import WindowPerformance, measure_window
from mlops_assets.prediction_log.served_window import ServedWindow

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

# A loss that a model's users would not notice is no concept drift, however sure it is.
_LEAST_LOSS, _LEAST_RESIDUAL = 0.005, 0.01


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What labels say.

    Attributes:
        performance: Metrics with intervals, and which labels there are.
        harm: Whether the model did harm.
        blocks: Labelled rows, for tests over time; None if none is due.
        concept_drift: What those tests say; None where there is nothing to hold them against.
        jump: Labels that jumped by themselves; None if they did not.
    """

    performance: WindowPerformance
    harm: Harm
    blocks: LabelledBlocks | None = None
    concept_drift: ConceptDrift | None = None
    jump: LabelJump | None = None
    metrics: dict[str, Measured] = field(default_factory=dict)


def outcomes_of(
    answers: Answers, subject: Subject, span: Span, history: History, moved: Sequence[str]
) -> Outcomes:
    """Return what the labels of a window say.

    Args:
        answers: What the version answered.
        subject: The version.
        span: The window.
        history: The windows before it.
        moved: Inputs that moved lately, by their alarms.
    """
    spec, standard = subject.spec, subject.standard
    confidence = subject.budget.confidence(spec.evaluation.confidence)
    performance = measure_window(
        spec.task,
        answers.outputs,
        answers.labels.target,
        answers.times,
        as_of=span.as_of,
        label_delay=spec.data.label_delay,
        min_labels=spec.monitoring.min_labels,
        entities=answers.entities,
        confidence=confidence,
    )
    metric, due = spec.evaluation.primary_metric, span.labels_due(spec.data.label_delay)
    missing = performance.missing
    if span.as_of < due:  # some are there, and those that come early may be of a kind
        missing = f"its labels are due on {due:%Y-%m-%d %H:%M}"
    promised = standard.metrics.get(metric) if standard else None
    harm = judge(
        metric,
        performance.metrics.get(metric),
        promised.value if promised else None,
        tolerance=spec.monitoring.tolerance,
        missing=missing,
        stable=history.stable(metric),
        confidence=confidence,
    )
    blocks = _blocks(answers, performance, subject, standard) if standard else None
    metrics = dict(performance.metrics) if span.as_of >= due else {}
    if standard is None or span.as_of < due:
        return Outcomes(performance, harm, blocks, metrics=metrics)
    since = joined([history.blocks, blocks])
    if since is None:
        return Outcomes(performance, harm, blocks, metrics=metrics)
    names = _names(subject, standard)
    jump = label_jump(
        standard.blocks,
        since,
        budget=subject.budget.labels,
        values=spec.task == "regression",
        names=names,
        moved=moved,
    )
    drift = concept_drift(
        standard.blocks,
        since,
        budget=subject.budget.concept_drift,
        least_loss=_LEAST_LOSS,
        least_residual=_LEAST_RESIDUAL,
        names=names,
        jump=jump if jump and jump.probable_fault else None,
    )
    return Outcomes(performance, harm, blocks, drift, jump, metrics)


def fairness_of(served: ServedWindow, answers: Answers, subject: Subject) -> list[Told]:
    """Return the gaps between groups of people, those that break a limit first.

    Args:
        served: The window of the prediction log, which holds the groups.
        answers: What the version answered.
        subject: The version.
    """
    import numpy as np
    import pyarrow as pa

    spec, rules, standard = subject.spec, subject.rules.gates.fairness, subject.standard
    names = [name for name in group_columns(spec) if name in served.columns]
    if not names or not len(answers) or standard is None:
        return []
    rules = rules.model_copy(update={"confidence": max(rules.confidence, 1 - subject.budget.fairness)})
    kept = pa.array(answers.kept)
    groupings = [
        group_window(name, _column(served, name, subject.version).filter(kept), rules.min_rows, cuts)
        for name in names
        for cuts in [standard.cuts.get(name)]
    ]
    decisions = decisions_of(
        spec.task,
        answers.outputs,
        answers.labels.target,
        threshold=spec.evaluation.decision_threshold,
        classes=subject.manifest.classes,
        spread=standard.spread,
    )
    if np.isnan(answers.labels.target).all() and spec.task == "multiclass_classification":
        return []  # which classes there are is told by labels
    found = measure_gaps(groupings, decisions, blocks_of(answers.times, answers.entities), rules)
    told = [
        Told(
            name=f"{gap.rate} by {gap.column}",
            alarm=gap.breached,
            says=str(gap),
            figures={"gap": gap.value, "low": gap.low, "high": gap.high, "limit": gap.limit},
        )
        for gap in found.gaps
    ]
    return told or [Told(name="groups", alarm=False, says=found.reason)]


def _column(served: ServedWindow, name: str, version: str) -> "pa.ChunkedArray":
    import pyarrow as pa

    found = [
        each.dictionary_decode() if pa.types.is_dictionary(each.type) else each
        for each in served.values(name, version)
    ]
    types = {each.type for each in found if not pa.types.is_null(each.type)}
    if len(types) > 1:  # values of several kinds are groups by what they look like
        found = [each.cast(pa.string()) for each in found]
    wanted = pa.string() if len(types) > 1 else next(iter(types), pa.string())
    return pa.chunked_array([each.cast(wanted) for each in found], type=wanted)


def _blocks(
    answers: Answers, performance: WindowPerformance, subject: Subject, standard: PerformanceStandard
) -> LabelledBlocks | None:
    judged = performance.arrival.judged
    if not judged.any():
        return None
    return labelled_blocks(
        subject.spec.task,
        answers.outputs[judged],
        answers.labels.target[judged],
        answers.times[judged],
        scale=standard.scale,
        length=block_length(subject.spec.monitoring.window),
        weights=performance.arrival.weights,
        classes=standard.followed or None,
    )


def _names(subject: Subject, standard: PerformanceStandard) -> tuple[str, ...]:
    if not standard.followed:
        return ("",)
    return tuple(str(subject.manifest.classes[code]) for code in standard.followed)
