"""Drills over the fleet: who would fall back, does, and how fast, before anybody needs it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.errors import EndpointError
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.governance.drill import Drill
from mlops_assets.registry.drills import Drills
from mlops_assets.registry.port import ModelVersion
from mlops_assets.resources import Platform
from mlops_assets.stages.stage import readable_errors

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 16
_TOLERANCE = 1e-5
# What takes longer nobody would call a way back.
_PATIENCE_SECONDS = 10.0


def rehearse(
    platform: Platform, gateway: GatewayClient, models: Sequence[str], *, actor: str
) -> Iterator[Drill]:
    """Rehearse the rollback of each of some models on a gateway.

    Args:
        platform: The platform.
        gateway: A gateway that serves them.
        models: Models with a way back, see :func:`with_way_back`.
        actor: Who asks for it.

    Raises:
        RegistryError: The registry cannot be reached.
        StorageError: The audit chain cannot be written.
    """

    def follow(model: str, version: str) -> None:
        gateway.wait_for_drill(model, version, _PATIENCE_SECONDS)

    def answer(version: ModelVersion) -> None:
        _require_same_answers(platform, gateway, version)

    for model in models:
        yield Drills(platform.authority).rehearse(model, follow, answer, actor=actor)


def with_way_back(platform: Platform) -> list[str]:
    """Return the models that serve and have a version to go back to."""
    releases = ((model, platform.authority.release(model)) for model in sorted(platform.registry.aliases()))
    return [model for model, release in releases if release is not None and release.replaced is not None]


def drill_job() -> dg.JobDefinition:
    """Return the job that rehearses the rollback of every model that has a way back."""

    @dg.op(name="rehearse_rollbacks", description="Point an alias that nobody serves by at each way back.")
    def rehearse_rollbacks(context: dg.OpExecutionContext, platform: Platform) -> None:
        with readable_errors():
            url = platform.gateway_url
            if url is None:
                raise EndpointError("no gateway is running, so there is nothing to rehearse on")
            drills = list(
                rehearse(platform, platform.gateway_at(url), with_way_back(platform), actor="schedule")
            )
        failed = [drill for drill in drills if not drill.passed]
        for drill in failed:
            context.log.error("%s: %s", drill.model, drill.failure)
        context.add_output_metadata({"drills": drills_table(drills), "failed": len(failed)})
        if failed:
            raise dg.Failure(
                f"{len(failed)} of {len(drills)} models have no way back: "
                + ", ".join(drill.model for drill in failed),
                allow_retries=False,
            )

    @dg.job(
        name="drill",
        executor_def=dg.in_process_executor,
        description="Rehearse the rollback of every model: who could not go back, and how fast others are.",
    )
    def drill() -> None:
        rehearse_rollbacks()

    return drill


def drill_schedule(job: Any, cron: str) -> dg.ScheduleDefinition:
    """Return the schedule of the fleet's drills.

    Args:
        job: The drill job.
        cron: When it runs (UTC).
    """

    @dg.schedule(
        name="drills",
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Rehearses the rollback of every model that has a way back.",
    )
    def schedule(_: dg.ScheduleEvaluationContext, platform: Platform) -> dg.RunRequest | dg.SkipReason:
        if platform.gateway_url is None:
            return dg.SkipReason("no gateway is running")
        models = with_way_back(platform)
        return dg.RunRequest() if models else dg.SkipReason("no model has a way back yet")

    return schedule


def drills_table(drills: Sequence[Drill]) -> dg.MarkdownMetadataValue:
    """Return drills as a table."""
    lines = ["| model | champion | way back | seconds | |", "|-|-|-|-|-|"]
    for drill in drills:
        took = "–" if drill.seconds is None else f"{drill.seconds:.2f}"
        lines.append(
            f"| {drill.model} | {drill.champion} | {drill.way_back} | {took} | {drill.failure or 'passed'} |"
        )
    return dg.MetadataValue.md("\n".join(lines))


def _require_same_answers(platform: Platform, gateway: GatewayClient, version: ModelVersion) -> None:
    """Have the gateway answer rows that the version was packaged with.

    Raises:
        EndpointError: It does not, or otherwise than the package.
    """
    import numpy as np

    package = platform.package(version.run_id, version.candidate)
    rows: pd.DataFrame = package.reference()[[c.name for c in package.manifest.inputs]].head(_ROWS)
    answered = gateway.infer(version.model, rows, version.version, probe=True).predictions
    expected = package.predict(rows)
    distance = float(np.abs(answered.reshape(expected.shape) - expected).max())
    if not distance <= _TOLERANCE:
        raise EndpointError(f"version {version.version} answers otherwise than packaged, by {distance:.1e}")
