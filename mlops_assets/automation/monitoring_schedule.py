"""One schedule for each length of windows watches every model that serves, in one run for each window."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from mlops_assets.monitoring.fleet_state import AssessedWindow
from mlops_assets.monitoring.windows import (
    LENGTH,
    Period,
    floor,
    windows_between,
    windows_to_assess,
)
from mlops_assets.prediction_log.log import PredictionLog, Written
from mlops_assets.registry.port import CHAMPION
from mlops_assets.resources import Platform
from mlops_assets.specs.durations import naive_utc
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.fleet_look import WatchedModel
from mlops_assets.stages.monitoring_report import partition_of, pass_config, pass_name
from mlops_assets.stages.stage import MONITORING

# Longer than this nobody waits for what is missing.
_MOST_BEHIND = 31


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

    That is when the window is over, when its labels are due, when rows came that were not logged before, and
    once more after twice the label delay, if labels came later than it.
    Windows in between that nobody looked at are made up for: a daemon that stood still, or a pass that was
    killed, leaves no gap.
    """
    asked = [*specs]
    oldest = min((_horizon(spec, as_of) - spec.data.label_delay for spec in asked), default=as_of)
    known = platform.state.assessed(oldest)
    late = _late(asked, known, as_of, platform.prediction_log)
    labels = platform.prediction_log.feedback_written(oldest)
    due: dict[datetime, list[str]] = defaultdict(list)
    for spec in asked:
        looked = known.get(spec.name, {})
        again = late.get(spec.name, set()) | _labelled_late(spec, looked, as_of, labels.get(spec.name, ()))
        for start in sorted(_due(spec, looked, as_of) | again):
            due[start].append(spec.name)
    return due


def _due(spec: ModelSpec, looked: Mapping[datetime, AssessedWindow], as_of: datetime) -> set[datetime]:
    period, delay = spec.monitoring.window, spec.data.label_delay
    if not looked:
        return {start for start, _ in windows_to_assess(as_of, period, delay)}
    over = windows_between(max(min(looked), _horizon(spec, as_of)), as_of, period)
    due = {start for start, _ in over if start not in looked}
    return due | {each.start for each in looked.values() if each.as_of < each.end + delay <= as_of}


def _labelled_late(
    spec: ModelSpec, looked: Mapping[datetime, AssessedWindow], as_of: datetime, labels: Sequence[Written]
) -> set[datetime]:
    """Return the windows of which labels came after they were due; nobody waits for them a third time."""
    delay = spec.data.label_delay
    return {
        each.start
        for each in looked.values()
        if each.as_of < each.end + 2 * delay <= as_of
        and any(one.first < each.end and one.at > each.as_of for one in labels)
    }


def _late(
    specs: Sequence[ModelSpec],
    known: Mapping[str, Mapping[datetime, AssessedWindow]],
    as_of: datetime,
    log: PredictionLog,
) -> dict[str, set[datetime]]:
    """Return by model the windows that have more rows now than when they were looked at.

    Files tell when their rows were written, so that only windows are counted of which some may be new. A day
    that is not over is left alone: its files grow with every compaction.
    """
    found: dict[str, set[datetime]] = {}
    oldest = min((w.start for windows in known.values() for w in windows.values()), default=as_of)
    today = floor(as_of, "day")
    written = log.written(oldest)
    for spec in specs:
        files = [each for each in written.get(spec.name, ()) if each.last < today]
        found[spec.name] = {
            window.start
            for window in known.get(spec.name, {}).values()
            if any(f.first < window.end and f.last >= window.start and f.at > window.as_of for f in files)
            and log.rows(spec.name, window.start, window.end) != window.served
        }
    return found


def _horizon(spec: ModelSpec, as_of: datetime) -> datetime:
    """Return how far back windows are made up for, and late rows waited for."""
    return as_of - spec.data.label_delay - _MOST_BEHIND * LENGTH[spec.monitoring.window]


def monitoring_request(
    models: Iterable[str], start: datetime, period: Period, as_of: datetime
) -> dg.RunRequest:
    """Return the request to look at a window of some models, as of a time."""
    partition = partition_of(start, period)
    return dg.RunRequest(
        run_key=f"{partition} as of {as_of.isoformat()}",
        partition_key=partition,
        asset_selection=[dg.AssetKey([model, MONITORING]) for model in sorted(models)],
        # The pass writes the evaluations that say something new itself.
        asset_check_keys=[],
        run_config=pass_config(period, as_of),
        tags={"mlops/as_of": as_of.isoformat()},
    )
