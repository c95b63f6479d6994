"""The fleet's jobs, its monitoring schedule and its retraining sensor."""

import dagster as dg

from mlops_assets.automation.approvals import approval_sensor, decision_job
from mlops_assets.automation.monitoring_schedule import monitoring_schedule
from mlops_assets.automation.retraining_sensor import retraining_sensor
from mlops_assets.resources import RESOURCES
from mlops_assets.stages.stage import LIFECYCLE, MONITORING

_APPROVAL_INTERVAL_SECONDS = 30


def stages_of_fleet(*stages: str) -> dg.AssetSelection:
    """Return the selection of some stages of every model."""
    selection = dg.AssetSelection.tag("mlops/stage", stages[0])
    for stage in stages[1:]:
        selection |= dg.AssetSelection.tag("mlops/stage", stage)
    return selection


def fleet_definitions(
    monitoring_cron: str = "0 6 * * *", retraining_interval_seconds: int = 60
) -> dg.Definitions:
    """Return what the fleet has once, however many models there are.

    Args:
        monitoring_cron: When the monitoring pass runs (UTC).
        retraining_interval_seconds: How often the retraining sensor looks.
    """
    lifecycle = dg.define_asset_job(
        "lifecycle",
        selection=stages_of_fleet(*LIFECYCLE),
        executor_def=dg.in_process_executor,
        description="The road of any model: select one model's stages to launch it.",
    )
    monitor = dg.define_asset_job(
        "monitor",
        selection=stages_of_fleet(MONITORING),
        executor_def=dg.in_process_executor,
        description="One monitoring pass over the fleet.",
    )
    return dg.Definitions(
        jobs=[lifecycle, monitor, decision_job()],
        schedules=[monitoring_schedule(monitor, monitoring_cron)],
        sensors=[
            retraining_sensor(lifecycle, retraining_interval_seconds),
            approval_sensor(lifecycle, _APPROVAL_INTERVAL_SECONDS),
        ],
        resources=RESOURCES,
    )
