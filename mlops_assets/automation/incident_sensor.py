"""One sensor tends incidents between passes: what nobody acknowledged is told on, what failed is sent again.

It also finds what no window shows, a champion's alias that was moved by hand, and takes in the alarms of a
pass that was killed before it could.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import dagster as dg

from mlops_assets.automation.unfinished_runs import unfinished_runs
from mlops_assets.errors import MlopsError
from mlops_assets.monitoring.incidents.alarm import Alarm
from mlops_assets.registry.strays import enter_strays
from mlops_assets.resources import Platform
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.policy_file import current_policy
from mlops_assets.stages.alarm_intake import moved_out_of_band, send_word, take_in
from mlops_assets.stages.fleet_look import FleetLook, WatchedModel
from mlops_assets.stages.stage import MONITORING


def incident_sensor(models: Sequence[WatchedModel], interval_seconds: int) -> dg.SensorDefinition:
    """Return the fleet's sensor of incidents.

    It acts by itself and launches no run: whoever is to be woken is not to wait for one.

    Args:
        models: All models.
        interval_seconds: Least time between two ticks.
    """
    fleet = {model.spec.name: model for model in models}

    @dg.sensor(
        name="incidents",
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reminds, escalates and sends again; tells of aliases that were moved by hand.",
    )
    def sensor(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SkipReason:
        now = utc_now()
        alarms = _strays(context, platform, fleet, now)
        due = platform.incidents.has_to_tell(current_policy().alerts, now)
        left = platform.state.has_untold() and not _is_looking(context.instance)
        if not alarms and not due and not left:
            sent = send_word(platform, now)
            return dg.SkipReason(f"nothing new; {sent.sent} told, {sent.failed} to be told later")
        taken = take_in(FleetLook(platform, models), platform, alarms, now)
        for number in (*taken.opened, *taken.reopened):
            incident = platform.incidents.incident(number)
            context.log.warning("incident %s (%s): %s", number, incident.severity, incident.title)
        return dg.SkipReason(f"{len(taken.opened)} opened, {taken.notices} to be told")

    return sensor


def _strays(
    context: dg.SensorEvaluationContext, platform: Platform, fleet: Mapping[str, WatchedModel], now: datetime
) -> list[Alarm]:
    try:
        strays = enter_strays(platform.authority)
    except MlopsError as error:
        # Word that waits goes out all the same.
        context.log.warning("nobody knows whether an alias was moved by hand: %s", error)
        return []
    for stray in strays:
        context.log.warning("%s: %s; see mlops-assets audit", stray.model, stray.says)
    return [
        moved_out_of_band(fleet[stray.model], stray.version, stray.says, now)
        for stray in strays
        if stray.model in fleet
    ]


def _is_looking(instance: dg.DagsterInstance) -> bool:
    """Return whether a pass is under way, which takes its alarms in at its end, all together."""
    chosen = (key for run in unfinished_runs(instance) for key in run.asset_selection or ())
    return any(key.path[-1] == MONITORING for key in chosen)
