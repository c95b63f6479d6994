"""One window of one model is looked at: each part by itself, so that what one fails on stops no other."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mlops_assets.errors import MlopsError
from mlops_assets.monitoring.alarms.baseline import Figures
from mlops_assets.monitoring.assessment.alarms import alarms_of
from mlops_assets.monitoring.assessment.answers import Answers, answers_of
from mlops_assets.monitoring.assessment.columns import PREDICTIONS, drift_of
from mlops_assets.monitoring.assessment.estimates import Estimates, estimated_harm, estimates_of
from mlops_assets.monitoring.assessment.history import History, Lasting, Recent
from mlops_assets.monitoring.assessment.kpis import WINDOW, kpis_of
from mlops_assets.monitoring.assessment.outcomes import Outcomes, fairness_of, outcomes_of
from mlops_assets.monitoring.assessment.quality import finding, quality_of
from mlops_assets.monitoring.assessment.record import Assessment, ColumnDrift, Told
from mlops_assets.monitoring.assessment.service import Failures, service_of
from mlops_assets.monitoring.assessment.subject import Span, Subject
from mlops_assets.monitoring.incidents.upstream import WatchedModel
from mlops_assets.monitoring.watching import Watched, figures_of_parts, profile_of_window, watch
from mlops_assets.monitoring.windows import LENGTH
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.served_window import ServedWindow

if TYPE_CHECKING:
    pass

_Part = TypeVar("_Part")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Looked:
    """What a look at a window leaves.

    Attributes:
        assessment: What is shown.
        recent: What the next windows need.
        lasting: What all later windows of the version need.
    """

    assessment: Assessment
    recent: Recent
    lasting: Lasting


def assess(
    subject: Subject,
    log: PredictionLog,
    served: ServedWindow,
    span: Span,
    history: History,
    upstream: WatchedModel,
    *,
    unseen_rows: int | None = None,
) -> Looked:
    """Return what one window says about one model.

    Columns that the log does not keep as they were sent are not looked at.

    Args:
        subject: The model and its version.
        log: The prediction log.
        served: What it holds of the window.
        span: The window.
        history: The windows before it.
        upstream: Where the model's columns come from.
        unseen_rows: Rows in the source that the champion has not seen.

    Raises:
        StorageError: The log cannot be read.
    """
    failures = Failures(*log.failures(subject.spec.name, span.start, span.end))
    return _Look(subject, log, served, span, history).at(failures, upstream, unseen_rows)


class _Look:
    def __init__(
        self, subject: Subject, log: PredictionLog, served: ServedWindow, span: Span, history: History
    ) -> None:
        self._subject, self._log, self._served = subject, log, served
        self._span, self._history = span, history
        self._untold: dict[str, str] = {}

    def at(self, failures: Failures, upstream: WatchedModel, unseen_rows: int | None) -> Looked:
        subject, served, span, history = self._subject, self._served, self._span, self._history
        spec = subject.spec
        watched = self._try("drift", self._watched)
        drift = (self._try("drift", lambda: drift_of(watched, subject)) if watched else None) or []
        service = self._try("service", lambda: service_of(served, failures, subject, span, history))
        answers = self._try("performance", self._answers)
        estimates, outcomes, fairness = Estimates(), None, None
        if answers is not None and len(answers):
            estimates = self._try("estimate", lambda: self._estimates(answers)) or Estimates()
            moved = [each.column for each in drift if each.drifted and each.column not in PREDICTIONS]
            outcomes = self._try("performance", lambda: outcomes_of(answers, subject, span, history, moved))
            fairness = self._try("fairness", lambda: fairness_of(served, answers, subject))
        figures = self._try("kpis", lambda: kpis_of(spec, self._log, span, history)) or ()
        columns = [each for each in drift if each.column not in PREDICTIONS]
        said = [each for each in drift if each.column in PREDICTIONS]
        estimated = estimated_harm(estimates, subject) if estimates.told else ""
        assessment = Assessment(
            model=spec.name,
            owner=spec.owner,
            risk=spec.risk,
            metric=spec.evaluation.primary_metric,
            version=subject.version,
            as_of=span.as_of,
            start=span.start,
            end=span.end,
            labels_due=span.labels_due(spec.data.label_delay),
            served=served.rows,
            labelled=_labelled(answers),
            estimated=estimates.told,
            estimate_told=estimates.missing,
            drift=columns,
            prediction_drift=_worst(said),
            quality=self._quality(watched, answers),
            fairness=list(fairness or ()),
            service=list(service.told) if service else [],
            cost=service.cost.per_1000 if service else None,
            cost_told=service.cost.told if service else "",
            kpis=list(figures),
            latency_ms=service.latency_ms if service else {},
            errors=int(failures.failed.sum()),
            refused=int((~failures.failed).sum()),
            unseen_rows=unseen_rows,
            rules=spec.retraining,
            budget=subject.rules.retraining.budget,
            **_outcome_fields(outcomes, served, answers, estimated, subject),
            untold=self._untold,
        )
        assessment = assessment.model_copy(update={"alarms": alarms_of(assessment, subject, upstream)})
        return Looked(
            assessment,
            Recent(watched.figures if watched else None, service.hours if service else None),
            self._lasting(outcomes, estimates, answers, assessment),
        )

    def _try(self, part: str, look: Callable[[], _Part]) -> _Part | None:
        """Return what a part says; what it fails on is told and stops no other part."""
        try:
            return look()
        except Exception as error:
            known = isinstance(error, MlopsError)
            self._untold[part] = str(error) if known else f"{type(error).__name__}: {error} (unexpected)"
            if not known:
                _log.exception("%s of %s", part, self._subject.spec.name)
            return None

    def _watched(self) -> Watched:
        subject, spec, span = self._subject, self._subject.spec, self._span
        profile = profile_of_window(self._served, subject.manifest, subject.version)
        if subject.reference is None:
            return Watched(profile, {}, None, ())
        baseline, period, recent = subject.reference.baseline, spec.monitoring.window, self._history.figures
        figures = None
        if baseline is not None and LENGTH[period] < LENGTH[baseline.period]:
            # Of so few rows a window that the history had to be told by longer ones.
            since = span.end - LENGTH[baseline.period]
            with self._log.served(spec.name, since, span.end) as served:
                longer = profile_of_window(served, subject.manifest, subject.version)
            figures, period, recent = baseline.figures(span.start, longer), baseline.period, []
        elif baseline is not None and LENGTH[period] > LENGTH[baseline.period]:
            figures = figures_of_parts(self._served, subject.manifest, subject.version, baseline, span.start)
        elif baseline is not None:
            figures = baseline.figures(span.start, profile)
        return watch(
            profile,
            subject.reference,
            figures,
            period,
            _of_this_baseline(recent, subject),
            alpha=subject.budget.columns,
            least_effect=subject.rules.monitoring.least_effect,
        )

    def _answers(self) -> Answers:
        subject = self._subject
        return answers_of(self._served, subject.manifest, subject.version, self._span.as_of)

    def _estimates(self, answers: Answers) -> Estimates:
        return estimates_of(self._served, answers, self._subject, self._history)

    def _quality(self, watched: Watched | None, answers: Answers | None) -> list[Any]:
        subject = self._subject
        found = []
        if watched is not None:
            kept = [column for column in subject.manifest.inputs if column.log == "keep"]
            reference = subject.reference
            found += quality_of(watched.profile, kept, reference.profile if reference else None)
        if answers is not None and answers.labels.unusable:
            problem = (
                "a label that is no number"
                if subject.spec.task == "regression"
                else "a label the model does not know"
            )
            labels = answers.labels
            count = labels.unusable
            found.append(finding(subject.manifest.target, problem, count, len(answers), labels.examples))
        return found

    def _lasting(
        self,
        outcomes: Outcomes | None,
        estimates: Estimates,
        answers: Answers | None,
        assessment: Assessment,
    ) -> Lasting:
        given = estimates.given
        if outcomes is not None and outcomes.metrics and answers is not None:
            judged = outcomes.performance.arrival.judged
            if 0 < judged.sum() < len(judged):  # an audit is of the rows that were measured
                again = self._try("estimate", lambda: self._estimates(answers.select(judged)))
                given = again.given if again else {}
        return Lasting(
            outcomes.blocks if outcomes else None,
            outcomes.metrics if outcomes else {},
            given,
            {
                each.name: float(value)
                for each in assessment.kpis
                if isinstance(value := each.figures.get(WINDOW), float | int)
            },
            stable=not (
                assessment.harm
                or assessment.label_jump
                or (assessment.concept_drift and assessment.concept_drift.alarm)
            ),
        )


def _outcome_fields(
    outcomes: Outcomes | None,
    served: ServedWindow,
    answers: Answers | None,
    estimated: str,
    subject: Subject,
) -> dict[str, Any]:
    """Return what labels say, as fields of the assessment."""
    if outcomes is None:
        if not served.rows:
            return {"reason": "nothing was served in this window", "harm_shown": "cannot_tell"}
        if answers is not None and not len(answers):
            reason = f"version {subject.version} answered nothing in this window; others did"
            return {"reason": reason, "harm_shown": "cannot_tell"}
        return {"reason": "performance could not be looked at", "harm_shown": "cannot_tell"}
    harm, performance = outcomes.harm, outcomes.performance
    shown = {"measured": "measured", "not_shown": "not_shown", "cannot_tell": "cannot_tell"}[harm.outcome]
    if estimated and shown == "cannot_tell":
        shown = "estimated"
    promised = subject.standard.metrics.get(harm.metric) if subject.standard else None
    drift = outcomes.concept_drift
    return {
        "harm": harm.outcome == "measured",
        "harm_shown": shown,
        "reason": estimated if shown == "estimated" else harm.reason,
        "metrics": {n: (each.value, each.low, each.high) for n, each in performance.metrics.items()},
        "reference_metric": promised and promised.value,
        "labels_told": performance.arrival.told,
        "concept_drift": drift
        and Told(
            name="concept drift",
            alarm=bool(drift.drifts),
            says=drift.reason,
            figures={"evidence": drift.evidence, "blocks": drift.blocks},
        ),
        "label_jump": outcomes.jump.reason if outcomes.jump else "",
    }


def _labelled(answers: Answers | None) -> int:
    import numpy as np

    return 0 if answers is None else int((~np.isnan(answers.labels.target)).sum())


def _worst(said: Sequence[ColumnDrift]) -> ColumnDrift | None:
    return min(said, key=lambda each: (not each.drifted, each.score), default=None)


def _of_this_baseline(figures: Sequence[Figures], subject: Subject) -> list[Figures]:
    """Return the figures of earlier windows, unless another baseline made them."""
    baseline = subject.reference and subject.reference.baseline
    wanted = len(baseline.columns) if baseline else 0
    return [each for each in figures if len(each.means) == wanted]
