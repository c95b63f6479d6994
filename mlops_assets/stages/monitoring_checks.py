"""Six checks of each window: drift, quality, performance, fairness, service and cost.

A pass over a thousand models would write thousands of evaluations, nearly all as good as those before. So it
writes what is new: the first evaluation of each check, and those that fail or fail no more. Run by hand they
are evaluated from the newest window that was looked at.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from mlops_assets.monitoring.assessment.record import CHECKS, Assessment
from mlops_assets.monitoring.windows import Period
from mlops_assets.resources import Platform
from mlops_assets.stages.fleet_look import WatchedModel
from mlops_assets.stages.stage import MONITORING, stage_key

_DESCRIPTIONS = {
    "drift": "Inputs and predictions moved by no more than they do by themselves.",
    "quality": "Inputs and labels are as they are declared.",
    "performance": "No harm is measured or estimated, and business figures meet their targets.",
    "fairness": "No gap between groups of people is certainly wider than the policy allows.",
    "service": "Requests, failures and latency are as in the same hours before.",
    "cost": "Predictions cost no more than the policy allows.",
}
_MOST_FINDINGS = 20


def monitoring_checks(models: Sequence[WatchedModel], period: Period) -> dg.AssetChecksDefinition:
    """Return the checks of all models that are watched by windows of one length.

    Args:
        models: These models.
        period: Length of their windows.
    """
    watched = {model.spec.name: model for model in models}

    @dg.multi_asset_check(
        name=f"monitoring_checks_{period}",
        specs=[
            dg.AssetCheckSpec(name, asset=stage_key(model.spec, MONITORING), description=_DESCRIPTIONS[name])
            for model in models
            for name in CHECKS
        ],
        can_subset=True,
    )
    def evaluate(context: dg.AssetCheckExecutionContext, platform: Platform) -> Iterator[dg.AssetCheckResult]:
        newest = platform.state.latest_assessments()
        for key in sorted(context.selected_asset_check_keys):
            model = watched[key.asset_key.path[0]]
            found = newest.get(model.spec.name)
            if found is None:
                why = {"findings": "no window was looked at yet; run a monitoring pass"}
                yield dg.AssetCheckResult(
                    asset_key=key.asset_key, check_name=key.name, passed=False, metadata=why,
                    severity=dg.AssetCheckSeverity.WARN,
                )  # fmt: skip
                continue
            told = _evaluation(model, key.name, found)
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=told.passed,
                metadata=dict(told.metadata),
                severity=told.severity,
            )

    return evaluate


def changed_checks(
    model: WatchedModel, now: Assessment, before: Assessment | None, context: dg.AssetExecutionContext
) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield the evaluations of a window that say something new.

    Args:
        model: The model.
        now: What was found.
        before: What was found in the window before; None if nothing was.
        context: Of the run.
    """
    findings, earlier = now.findings(), before.findings() if before else None
    for name in CHECKS:
        if earlier is None or findings[name] or earlier[name]:
            yield _evaluation(model, name, now)


def _evaluation(model: WatchedModel, name: str, found: Assessment) -> dg.AssetCheckEvaluation:
    told = found.findings()[name]
    severity = getattr(model.rules.monitoring.checks, name)
    shown = "\n".join(f"- {each}" for each in told[:_MOST_FINDINGS]) or "nothing"
    return dg.AssetCheckEvaluation(
        asset_key=stage_key(model.spec, MONITORING),
        check_name=name,
        passed=not told,
        severity=dg.AssetCheckSeverity.ERROR if severity == "error" else dg.AssetCheckSeverity.WARN,
        metadata={
            "findings": dg.MetadataValue.md(shown),
            "window": dg.MetadataValue.text(f"{found.start} to {found.end}"),
        },
        blocking=False,
    )
