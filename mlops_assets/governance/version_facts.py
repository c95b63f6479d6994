"""The facts of a version as its signed evidence tells them: what card, data sheet and SBOM show."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from mlops_assets.errors import EvidenceError
from mlops_assets.governance.approvals import SignedDecision
from mlops_assets.governance.card_facts import (
    ApprovalFacts,
    CalibrationBin,
    CardFacts,
    ColumnFacts,
    DataFacts,
    GroupFigure,
    TrainingFacts,
    card_facts,
    source_of,
)
from mlops_assets.governance.evidence import Evidence
from mlops_assets.specs.approver import Approver
from mlops_assets.specs.durations import format_duration
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.tasks import METRICS
from mlops_assets.verdict import Figure, Finding, Verdict

_BY_GROUP = ("slices", "fairness")
_MADE_WITH = ("python", "mlops-assets", "scikit-learn", "numpy", "pandas", "skl2onnx", "onnxruntime")
_LOW, _HIGH = "_low", "_high"


def spec_of(evidence: Evidence) -> ModelSpec:
    """Return the spec that a candidate was made from.

    Raises:
        EvidenceError: It is not in the evidence, or of another form than today's specs.
    """
    try:
        return ModelSpec.model_validate(evidence.spec)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        said = f"{'.'.join(map(str, first['loc'])) or 'the spec'}: {first['msg']}"
        raise EvidenceError(f"the evidence holds no spec of today's form ({said})") from error


def version_facts(
    evidence: Evidence,
    version: str,
    *,
    verdicts: Sequence[Verdict] = (),
    decisions: Sequence[SignedDecision] = (),
    approvers: Sequence[Approver] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
    columns: Sequence[ColumnFacts] = (),
    columns_note: str = "",
) -> CardFacts:
    """Return all that is told of a version.

    Args:
        evidence: Its evidence, verified.
        version: Its version in the registry.
        verdicts: What all gates said.
        decisions: What people decided about it.
        approvers: Who they are.
        environment: Versions of what it was made with, by name, if they were recorded.
        columns: The columns of its snapshot, if that is still there.
        columns_note: Why they are not told.

    Raises:
        EvidenceError: The evidence holds no spec of today's form, or does not tell what it learnt from.
    """
    spec = spec_of(evidence)
    rows, holdout = int(_fact(evidence, "rows")), int(_fact(evidence, "rows_holdout"))
    start, _, end = _fact(evidence, "window").partition("/")
    data = DataFacts(
        source=source_of(spec),
        start=datetime.fromisoformat(start),
        end=datetime.fromisoformat(end),
        holdout_start=datetime.fromisoformat(_fact(evidence, "trained_until")),
        rows=rows,
        training_rows=rows - holdout,
        holdout_rows=holdout,
        label_delay=format_duration(spec.data.label_delay),
        digests={"raw data": evidence.subject.data, "features": evidence.subject.features},
        columns=tuple(columns),
        note=columns_note,
    )
    training = TrainingFacts(
        estimator=spec.training.trainer,
        params=spec.training.params,
        seed=spec.training.seed,
        trained_at=_end(evidence.facts.get("trained_model.time")),
        runtime=evidence.facts.get("runtime", ""),
        environment={name: environment[name] for name in _MADE_WITH if name in environment},
    )
    told = card_facts(
        spec,
        data,
        training,
        version=version,
        metrics=tuple(_metrics(evidence, spec)),
        by_group=tuple(group_figures(evidence)),
        calibration=tuple(_calibration(evidence)) if spec.task != "regression" else (),
        verdicts=tuple(verdicts),
        approvals=tuple(_approvals(decisions, approvers)),
        versions=_versions(evidence),
    )
    # The bounds in the evidence are one-sided: of both together, each side's error counts.
    confidence = 2 * evidence.rules.gates.metric_thresholds.confidence - 1
    return told.model_copy(update={"confidence": confidence})


def group_figures(evidence: Evidence) -> Iterator[GroupFigure]:
    """Yield what the gates on groups measured of each group.

    Such a gate's findings are records of column, group and rows, and further figures by name, each of which
    may have its bounds beside it as ``NAME_low`` and ``NAME_high``, or the lower bound of its size alone.
    """
    for gate in _BY_GROUP:
        record = evidence.record(gate)
        for finding in record.measurement.findings if record else ():
            if "column" in finding and "group" in finding:
                yield from _of_group(finding)


def _of_group(finding: Finding) -> Iterator[GroupFigure]:
    for name, value in finding.items():
        if name in ("column", "group", "rows") or name.endswith((_LOW, _HIGH)) or not _is_number(value):
            continue
        low, high = _bounds(value, finding.get(name + _LOW), finding.get(name + _HIGH))
        yield GroupFigure(
            column=str(finding["column"]),
            value=str(finding["group"]),
            rows=int(finding.get("rows", 0)),
            figure=Figure(name=name, value=value, low=low, high=high),
        )


def _bounds(value: float, low: float | None, high: float | None) -> tuple[float | None, float | None]:
    """Return the bounds of a figure; a lower bound alone is that of its size, and zero if none is certain."""
    if low is None or high is not None:
        return low, high
    if low == 0:
        return None, None
    return (None, -low) if value < 0 < low else (low, None)


def _metrics(evidence: Evidence, spec: ModelSpec) -> Iterator[Figure]:
    """Yield the metrics of the task, each once, though it may be held to two limits."""
    record = evidence.record("metric_thresholds")
    figures = {figure.name: figure for figure in (record.measurement.figures if record else ())}
    for name in METRICS[spec.task]:
        if name in figures:
            yield Figure(**{**vars(figures[name]), "limit": "", "counts": "value"})


def _calibration(evidence: Evidence) -> Iterator[CalibrationBin]:
    record = evidence.record("calibration")
    for finding in record.measurement.findings if record else ():
        if all(_is_number(finding.get(name)) for name in ("predicted", "observed", "rows")):
            known = {name: finding[name] for name in CalibrationBin.model_fields if name in finding}
            yield CalibrationBin.model_validate(known)


def _approvals(decisions: Sequence[SignedDecision], approvers: Sequence[Approver]) -> Iterator[ApprovalFacts]:
    names = {approver.fingerprint: approver.name for approver in approvers}
    for signed in decisions:
        said = signed.decision
        by = names.get(signed.key, "somebody who is no approver any more")
        yield ApprovalFacts(by=by, decision=said.decision, reason=said.reason, at=said.at, key=signed.key)


def _versions(evidence: Evidence) -> dict[str, str]:
    subject, facts = evidence.subject, evidence.facts
    known = {
        "package": subject.candidate,
        "evidence": evidence.digest,
        "recipe": subject.recipe,
        "spec": subject.spec,
        "policy": evidence.policy,
        "training code": subject.code,
        "feature code": subject.feature_code,
        "environment": subject.environment,
        "MLflow run": facts.get("mlflow_run", ""),
        "Dagster run": facts.get("dagster_run", ""),
    }
    return {name: value for name, value in known.items() if value}


def _fact(evidence: Evidence, name: str) -> str:
    try:
        return evidence.facts[name]
    except KeyError:
        raise EvidenceError(f"the evidence does not tell the {name!r} of what it is about") from None


def _end(interval: str | None) -> datetime | None:
    return datetime.fromisoformat(interval.partition("/")[2]) if interval else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
