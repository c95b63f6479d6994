"""What all gates have in common: they are blocking, they record, and they show what they measured."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from mlops_assets.resources import Platform
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.stage import plain, rounded, stage_key, with_known_signature
from mlops_assets.verdict import Verdict


def gate_check(
    spec: ModelSpec, stage: str, name: str, description: str
) -> Callable[[Callable[..., Any]], dg.AssetChecksDefinition]:
    """Return the decorator that makes a function a gate on a stage: a blocking asset check."""
    decorate = dg.asset_check(asset=stage_key(spec, stage), name=name, description=description, blocking=True)
    return lambda function: decorate(with_known_signature(function))


def record_and_show(
    platform: Platform, spec: ModelSpec, subject: str, verdict: Verdict
) -> dg.AssetCheckResult:
    """File a verdict in the ledger, where registration looks, and return it for the UI.

    Args:
        platform: Where the ledger is.
        spec: The model's spec.
        subject: Digest of what was judged.
        verdict: What the gate found.
    """
    platform.verdicts.record(spec.name, subject, verdict)
    return shown(verdict, subject)


def shown(verdict: Verdict, subject: str, check_name: str | None = None) -> dg.AssetCheckResult:
    """Return a verdict as Dagster shows it: what was measured, the limits, what offended."""
    figures = [
        {"figure": name, "measured": "–" if value is None else value, "limit": verdict.limits.get(name, "")}
        for name, value in verdict.measured.items()
    ]
    return dg.AssetCheckResult(
        passed=verdict.passed,
        check_name=check_name,
        severity=dg.AssetCheckSeverity.ERROR,
        description=verdict.summary,
        metadata={
            "subject": subject,
            "measured": _table(figures),
            **({"offending": _table(verdict.findings[:50])} if verdict.findings else {}),
            **{
                name: rounded(value)
                for name, value in verdict.measured.items()
                if isinstance(value, int | float) and not isinstance(value, bool)
            },
        },
    )


def _table(rows: Sequence[Mapping[Any, Any]]) -> dg.TableMetadataValue:
    """Return flat records as a table; Markdown would be hidden behind a click on the page of a check."""
    names = dict.fromkeys(str(name) for row in rows for name in row)
    return dg.MetadataValue.table(
        [dg.TableRecord({name: plain(row.get(name, "")) for name in names}) for row in rows],
        dg.TableSchema([dg.TableColumn(name) for name in names]),
    )
