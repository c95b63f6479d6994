"""Approvals in the Dagster UI: a job takes signed decisions, and a sensor deploys what is approved."""

from typing import Any

import dagster as dg
from pydantic import Field

from mlops_assets.governance.approvals import SignedDecision
from mlops_assets.registry.decisions import DECISIONS
from mlops_assets.registry.proof import read_evidence
from mlops_assets.resources import Platform
from mlops_assets.stages.stage import models_with, readable_errors

_ENDPOINT = "deployed_endpoint"


class SignedDecisionConfig(dg.Config):
    """A person's decision."""

    signed: str = Field(
        description="What mlops-assets approve … --sign-only (or reject …) printed on the person's machine."
    )


def decision_job() -> dg.JobDefinition:
    """Return the job that files a signed decision: the signature counts, not who launches the run."""

    @dg.op(name="file_decision", description="Verify the signature, and file the decision.")
    def file_decision(
        context: dg.OpExecutionContext, config: SignedDecisionConfig, platform: Platform
    ) -> None:
        with readable_errors():
            signed = SignedDecision.from_json(config.signed)
            state = platform.decisions.file(signed)
        decision = signed.decision
        context.log.info("%s version %s: %s", decision.model, decision.version, state.summary)

    @dg.job(
        name="decide",
        executor_def=dg.in_process_executor,
        description="Approve or reject a version: takes what mlops-assets approve --sign-only prints.",
    )
    def decide() -> None:
        file_decision()

    return decide


def approval_sensor(job: Any, interval_seconds: int) -> dg.SensorDefinition:
    """Return the sensor that deploys a version when the last approval it needs has come.

    Args:
        job: The lifecycle job of the fleet.
        interval_seconds: Least time between two ticks.
    """

    @dg.sensor(
        name="approvals",
        job=job,
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Deploys a version when people have approved it.",
    )
    def sensor(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult | dg.SkipReason:
        cursor = int(context.cursor or 0)
        entries = platform.audit.entries(after=cursor)
        if not entries:
            return dg.SkipReason("nobody decided anything")
        assert context.repository_def is not None
        known = models_with(_ENDPOINT, context.repository_def)
        decided = {(e.model, str(e.detail.get("version"))): e for e in entries if e.action in DECISIONS}
        requests = [
            dg.RunRequest(
                # The entry's number, because run keys de-duplicate for ever.
                run_key=f"approved:{model}:{version}:{entry.seq}",
                asset_selection=[dg.AssetKey([model, _ENDPOINT])],
                tags={"mlops/model": model, "mlops/trigger": "approval"},
            )
            for (model, version), entry in decided.items()
            if model in known and _is_approved(model, version, platform)
        ]
        skipped = None if requests else "no version was approved"
        return dg.SensorResult(run_requests=requests, cursor=str(entries[-1].seq), skip_reason=skipped)

    return sensor


def _is_approved(model: str, version: str, platform: Platform) -> bool:
    found = platform.registry.version(model, version)
    if found is None:
        return False
    evidence = read_evidence(platform.registry, found, platform.verifier)
    decisions = platform.decisions
    return decisions.state(found, evidence, decisions.policy.tiers[evidence.risk]).approved
