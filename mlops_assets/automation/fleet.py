"""The fleet's jobs, its schedules and its sensors, and the one asset that all models share."""

from collections.abc import Sequence

import dagster as dg

from mlops_assets.automation.approvals import approval_sensor, decision_job
from mlops_assets.automation.drills import drill_job, drill_schedule
from mlops_assets.automation.incident_sensor import incident_sensor
from mlops_assets.automation.monitoring_schedule import monitoring_schedule
from mlops_assets.automation.prediction_log import compaction_job, compaction_schedule, prediction_log
from mlops_assets.automation.retraining_sensor import retraining_sensor
from mlops_assets.automation.rollout_sensor import rollout_sensor
from mlops_assets.monitoring.windows import LENGTH
from mlops_assets.resources import RESOURCES
from mlops_assets.stages.fleet_look import WatchedModel
from mlops_assets.stages.monitoring_checks import monitoring_checks
from mlops_assets.stages.monitoring_report import monitoring_reports, pass_job
from mlops_assets.stages.stage import BATCH, LIFECYCLE

_APPROVAL_INTERVAL_SECONDS = 30
_ROLLOUT_INTERVAL_SECONDS = 15
_BATCH_INTERVAL_SECONDS = 30
_INCIDENT_INTERVAL_SECONDS = 60
# Windows of an hour are looked at a little after it is over, when what was served is in the log.
HOURLY = "5 * * * *"


def stages_of_fleet(*stages: str) -> dg.AssetSelection:
    """Return the selection of some stages of every model."""
    selection = dg.AssetSelection.tag("mlops/stage", stages[0])
    for stage in stages[1:]:
        selection |= dg.AssetSelection.tag("mlops/stage", stage)
    return selection


def batch_sensor() -> dg.AutomationConditionSensorDefinition:
    """Return what starts batch scoring wherever a spec's schedule says so: one for all models."""
    return dg.AutomationConditionSensorDefinition(
        "batch_scoring",
        target=stages_of_fleet(BATCH),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=_BATCH_INTERVAL_SECONDS,
        description="Scores each model's batch when the schedule in its spec says so.",
    )


def fleet_definitions(
    models: Sequence[WatchedModel] = (),
    monitoring_cron: str = "0 6 * * *",
    retraining_interval_seconds: int = 60,
    drill_cron: str = "0 5 * * 1",
    compaction_cron: str = "*/15 * * * *",
    fleet: Sequence[WatchedModel] = (),
) -> dg.Definitions:
    """Return what the fleet has once, however many models there are.

    Args:
        models: All models; each is watched by windows of the length that its spec says.
        monitoring_cron: When the monitoring pass runs (UTC).
        retraining_interval_seconds: How often the retraining sensor looks.
        drill_cron: When rollbacks are rehearsed (UTC).
        compaction_cron: When the prediction log is compacted (UTC).
        fleet: All models, if not all are watched by what is returned: owners share budgets, and incidents
            causes.
    """
    lifecycle = dg.define_asset_job(
        "lifecycle",
        selection=stages_of_fleet(*LIFECYCLE),
        executor_def=dg.in_process_executor,
        description="The road of any model: select one model's stages to launch it.",
    )
    passes, checks, watching = [], [], []
    for period in LENGTH:
        by_period = [model for model in models if model.spec.monitoring.window == period]
        if not by_period:
            continue
        passes.append(monitoring_reports(by_period, period, fleet or models))
        checks.append(monitoring_checks(by_period, period))
        job = dg.define_asset_job(
            pass_job(period),
            selection=dg.AssetSelection.assets(passes[-1]).without_checks(),
            executor_def=dg.in_process_executor,
            description=f"One monitoring pass over all models that are watched by the {period}.",
        )
        cron = HOURLY if period == "hour" else monitoring_cron
        watching.append((job, monitoring_schedule(job, by_period, period, cron)))
    drill, compact = drill_job(), compaction_job()
    return dg.Definitions(
        assets=[prediction_log, *passes],
        asset_checks=checks,
        jobs=[lifecycle, *(job for job, _ in watching), compact, decision_job(), drill],
        schedules=[
            *(schedule for _, schedule in watching),
            compaction_schedule(compact, compaction_cron),
            drill_schedule(drill, drill_cron),
        ],
        sensors=[
            retraining_sensor(lifecycle, retraining_interval_seconds),
            approval_sensor(lifecycle, _APPROVAL_INTERVAL_SECONDS),
            incident_sensor(fleet or models, _INCIDENT_INTERVAL_SECONDS),
            rollout_sensor(_ROLLOUT_INTERVAL_SECONDS),
            batch_sensor(),
        ],
        resources=RESOURCES,
    )
