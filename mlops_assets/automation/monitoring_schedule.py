"""One schedule for each length of windows watches every model that serves, in one run for each window."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from mlops_assets.monitoring.windows import Period, windows_to_assess
from mlops_assets.registry.port import CHAMPION
from mlops_assets.registry.strays import enter_strays
from mlops_assets.resources import Platform
from mlops_assets.specs.durations import naive_utc
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.monitoring_report import WatchedModel, partition_of, pass_config, pass_name
from mlops_assets.stages.stage import MONITORING


def monitoring_schedule(
    job: Any, models: Sequence[WatchedModel], period: Period, cron: str
) -> dg.ScheduleDefinition:
    """Return the schedule that watches models by windows of one length.

    Args:
        job: The job that makes their reports.
        models: The models.
        period: Length of the windows.
        cron: When it looks (UTC).
    """
    specs = [model.spec for model in models]

    @dg.schedule(
        name=pass_name(period),
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Looks at each {period} when it is over, and again when its labels are due.",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, platform: Platform
    ) -> list[dg.RunRequest] | dg.SkipReason:
        for model in enter_strays(platform.authority):
            context.log.warning("the champion of %s was moved out of band; see mlops-assets audit", model)
        # A model without a champion has nothing to watch.
        serving = {model for model, aliases in platform.registry.aliases().items() if CHAMPION in aliases}
        # The tick's own time: a daemon that comes late looks at the window it was meant to.
        as_of = naive_utc(context.scheduled_execution_time)
        watched = [spec for spec in specs if spec.name in serving]
        if not watched:
            return dg.SkipReason("no model serves yet")
        due = windows_due(watched, as_of, platform)
        if not due:
            return dg.SkipReason("every window that is over was looked at, and no more labels are due")
        return [monitoring_request(names, start, period, as_of) for start, names in sorted(due.items())]

    return schedule


def windows_due(specs: Iterable[ModelSpec], as_of: datetime, platform: Platform) -> dict[datetime, list[str]]:
    """Return by start of a window the models that there is something new to say of in it.

    That is once when the window is over, and once when its labels are due.
    """
    asked = {
        (spec.name, start): end + spec.data.label_delay
        for spec in specs
        for start, end in windows_to_assess(as_of, spec.monitoring.window, spec.data.label_delay)
    }
    known = platform.state.assessed(min((start for _, start in asked), default=as_of))
    due: dict[datetime, list[str]] = defaultdict(list)
    for (model, start), labels_due in asked.items():
        looked = known.get((model, start))
        if looked is None or looked < labels_due <= as_of:
            due[start].append(model)
    return due


def monitoring_request(
    models: Iterable[str], start: datetime, period: Period, as_of: datetime
) -> dg.RunRequest:
    """Return the request to look at a window of some models, as of a time."""
    partition = partition_of(start, period)
    return dg.RunRequest(
        run_key=f"{partition} as of {as_of.isoformat()}",
        partition_key=partition,
        asset_selection=[dg.AssetKey([model, MONITORING]) for model in sorted(models)],
        run_config=pass_config(period, as_of),
        tags={"mlops/as_of": as_of.isoformat()},
    )
