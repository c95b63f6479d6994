"""One schedule watches every model that serves, in one run."""

from typing import Any

import dagster as dg

from mlops_assets.registry.port import CHAMPION
from mlops_assets.registry.strays import enter_strays
from mlops_assets.resources import Platform
from mlops_assets.stages.stage import MONITORING, models_with, stage_config


def monitoring_schedule(job: Any, cron: str) -> dg.ScheduleDefinition:
    """Return the fleet's monitoring schedule.

    Args:
        job: The monitoring job of the fleet.
        cron: When it runs (UTC).
    """

    @dg.schedule(
        name="monitoring",
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Looks at the last complete window of every model that serves.",
    )
    def schedule(context: dg.ScheduleEvaluationContext, platform: Platform) -> dg.RunRequest | dg.SkipReason:
        for model in enter_strays(platform.authority):
            context.log.warning("the champion of %s was moved out of band; see mlops-assets audit", model)
        # A model without a champion has nothing to watch, and would fail the run of all the others.
        serving = {model for model, aliases in platform.registry.aliases().items() if CHAMPION in aliases}
        watched = sorted(models_with(MONITORING, context.repository_def) & serving)
        if not watched:
            return dg.SkipReason("no model serves yet")
        # The tick's own time: a daemon that comes late looks at the window it was meant to.
        as_of = context.scheduled_execution_time.isoformat()
        return dg.RunRequest(
            asset_selection=[dg.AssetKey([model, MONITORING]) for model in watched],
            run_config=stage_config(MONITORING, *watched, as_of=as_of),
            tags={"mlops/as_of": as_of},
        )

    return schedule
