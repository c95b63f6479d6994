"""What all gates have in common: they block, their record is signed and filed, and they show it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from mlops_assets.governance.evidence import GateRecord
from mlops_assets.resources import Platform
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Rules
from mlops_assets.stages.stage import plain, rounded, stage_key, started_by, with_known_signature
from mlops_assets.verdict import Figure, Measurement, Verdict, judge


def gate_checks(
    spec: ModelSpec, stage: str, input_name: str, gates: Mapping[str, str]
) -> Callable[[Callable[..., Any]], dg.AssetChecksDefinition]:
    """Return the decorator that makes a function the gates on a stage: blocking asset checks.

    Gates on one stage are one op, because they look at the same things, which are then read once, and
    because every op of every model costs whoever loads the fleet.

    Args:
        spec: The model's spec.
        stage: The stage whose output they judge.
        input_name: The function's parameter that takes the stage's record.
        gates: What each gate looks for, by name.
    """
    key = stage_key(spec, stage)
    decorate = dg.multi_asset_check(
        name=f"{spec.name}__{stage}_gates",
        specs=[dg.AssetCheckSpec(n, asset=key, description=d, blocking=True) for n, d in gates.items()],
        ins={input_name: dg.AssetIn(key)},
        can_subset=True,
    )
    return lambda function: decorate(with_known_signature(function))


def selected(context: dg.AssetCheckExecutionContext, gates: Iterable[str]) -> list[str]:
    """Return the gates that a run asked for, in the order models meet them."""
    asked = {key.name for key in context.selected_asset_check_keys}
    return [gate for gate in gates if gate in asked]


def file_and_show(
    platform: Platform,
    spec: ModelSpec,
    rules: Rules,
    subject: str,
    measurement: Measurement,
    run: dg.DagsterRun,
) -> dg.AssetCheckResult:
    """File what a gate measured, signed, where registration looks for it, and return it for the UI.

    Args:
        platform: Where the ledger is.
        spec: The model's spec.
        rules: What is demanded of it.
        subject: Digest of what was judged.
        measurement: What the gate measured.
        run: The Dagster run.
    """
    platform.ledger.file(gate_record(spec, rules, subject, measurement, run))
    return enter_and_show(platform, spec, rules, subject, measurement, run)


def enter_and_show(
    platform: Platform,
    spec: ModelSpec,
    rules: Rules,
    subject: str,
    measurement: Measurement,
    run: dg.DagsterRun,
) -> dg.AssetCheckResult:
    """Return what was measured, held against the rules of today; a refusal is entered in the audit chain.

    See :func:`file_and_show`.
    """
    verdict = judge(measurement, rules.gates.of(measurement.gate))
    if not verdict.passed:
        by = started_by(run)[0]
        said = f"gate {verdict.gate} refused {subject[:12]}: {verdict.summary}"
        platform.audit.append("refuse", spec.name, actor=by, reason=said, subject=subject, run=run.run_id)
    return shown(verdict, subject)


def gate_record(
    spec: ModelSpec, rules: Rules, subject: str, measurement: Measurement, run: dg.DagsterRun
) -> GateRecord:
    """Return what a gate measured, with what it was measured on and under which rules."""
    return GateRecord(
        model=spec.name,
        subject=subject,
        spec=spec.digest,
        measurement=measurement,
        rules=rules.gates.of(measurement.gate).model_dump(mode="json"),
        at=utc_now(),
        run=run.run_id,
        by=started_by(run),
    )


def shown(verdict: Verdict, subject: str) -> dg.AssetCheckResult:
    """Return a verdict as Dagster shows it: what was measured, the limits, what offended."""
    measurement = verdict.measurement
    findings = [*(b.model_dump() for b in verdict.breaches)]
    # A table without rows shows not even its columns, as if the gate had not looked.
    figures = measurement.figures or (
        Figure(name="not applicable", value=None, note=measurement.not_applicable),
    )
    return dg.AssetCheckResult(
        passed=verdict.passed,
        check_name=verdict.gate,
        severity=dg.AssetCheckSeverity.ERROR,
        description=verdict.summary,
        metadata={
            "subject": subject,
            "measured": _table([_row(figure, verdict) for figure in figures]),
            **({"breaches": _table(findings)} if findings else {}),
            **({"offending": _table(measurement.findings[:50])} if measurement.findings else {}),
            **{f.name: rounded(f.value) for f in measurement.figures[:20] if f.value is not None},
        },
    )


def not_measured(gate: str, subject: str, error: Exception) -> dg.AssetCheckResult:
    """Return the refusal by a gate that could not measure; nothing is filed, so nothing is vouched for."""
    return dg.AssetCheckResult(
        passed=False,
        check_name=gate,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"could not be measured: {' '.join(str(error).split()) or type(error).__name__}",
        metadata={"subject": subject},
    )


def _row(figure: Figure, verdict: Verdict) -> dict[str, Any]:
    interval = "" if figure.low is None else f"{plain(figure.low)} … {plain(figure.high)}"
    limit = verdict.limits.get(figure.limit)
    counts = {"low": " (lower bound)", "high": " (upper bound)"}.get(figure.counts, "")
    return {
        "figure": figure.name,
        "measured": "–" if figure.value is None else plain(figure.value),
        "interval": interval,
        "limit": "" if limit is None else f"{figure.limit} {limit:g}{counts}",
        "note": figure.note,
    }


def _table(rows: Sequence[Mapping[Any, Any]]) -> dg.TableMetadataValue:
    """Return flat records as a table; Markdown would be hidden behind a click on the page of a check."""
    names = dict.fromkeys(str(name) for row in rows for name in row)
    return dg.MetadataValue.table(
        [dg.TableRecord({name: plain(row.get(name, "")) for name in names}) for row in rows],
        dg.TableSchema([dg.TableColumn(name) for name in names]),
    )
