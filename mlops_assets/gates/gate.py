"""What all gates have in common: they are blocking, they record, and they show what they measured."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from mlops_assets.resources import Platform
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.stage import markdown_table, stage_key
from mlops_assets.verdict import Verdict


def gate_check(
    spec: ModelSpec, stage: str, name: str, description: str
) -> Callable[[Callable[..., Any]], dg.AssetChecksDefinition]:
    """Return the decorator that makes a function a gate on a stage: a blocking asset check."""
    return dg.asset_check(asset=stage_key(spec, stage), name=name, description=description, blocking=True)


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
        {"figure": name, "measured": _plain(value), "limit": verdict.limits.get(name, "")}
        for name, value in verdict.measured.items()
    ]
    return dg.AssetCheckResult(
        passed=verdict.passed,
        check_name=check_name,
        severity=dg.AssetCheckSeverity.ERROR,
        description=verdict.summary,
        metadata={
            "subject": subject,
            "measured": markdown_table(figures),
            **({"offending": markdown_table(verdict.findings[:50])} if verdict.findings else {}),
            **{
                name: float(value)
                for name, value in verdict.measured.items()
                if isinstance(value, int | float) and not isinstance(value, bool)
            },
        },
    )


def _plain(value: Any) -> Any:
    return "–" if value is None else value
