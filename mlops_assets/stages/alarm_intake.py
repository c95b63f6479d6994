"""What becomes of a pass's alarms: incidents, and word of them."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from mlops_assets.monitoring.assessment.record import Assessment
from mlops_assets.monitoring.incidents.alarm import Alarm
from mlops_assets.monitoring.incidents.delivery import Delivered, deliver
from mlops_assets.monitoring.incidents.intake import Taken
from mlops_assets.monitoring.incidents.notifier import AppriseNotifier
from mlops_assets.monitoring.windows import LENGTH, Period, floor
from mlops_assets.resources import Platform
from mlops_assets.specs.policy_file import current_policy
from mlops_assets.stages.fleet_look import FleetLook, WatchedModel

# Of older windows nobody is told: they are looked at again to try other settings.
_NEWEST = 31


def is_news(assessment: Assessment, period: Period) -> bool:
    """Return whether a window is new enough that somebody is to be told of it."""
    due = assessment.labels_due or assessment.end
    return assessment.as_of - due <= _NEWEST * LENGTH[period]


def take_in(look: FleetLook, platform: Platform, others: Iterable[Alarm], now: datetime) -> Taken:
    """Make incidents of all alarms that nobody was told of yet, and send word.

    These are a pass's own, and those of a pass that was killed before it came to this.

    Args:
        look: A look at the fleet.
        platform: The platform.
        others: Alarms that no window raised.
        now: The present.
    """
    policy, untold = current_policy(), platform.state.untold()
    alarms = [alarm for _, assessment in untold for alarm in assessment.alarms]
    taken = platform.incidents.take_in([*alarms, *others], look.lineage(), policy.alerts, now)
    platform.state.mark_told(id_ for id_, _ in untold)
    send_word(platform, now)
    return taken


def send_word(platform: Platform, now: datetime) -> Delivered:
    """Send what has to go out by now, and again what could not be sent before."""
    return deliver(platform.incidents.outbox, AppriseNotifier(), current_policy().alerts, now)


def moved_out_of_band(model: WatchedModel, version: str | None, says: str, now: datetime) -> Alarm:
    """Return the alarm that a champion's alias names another version than serves by right.

    It is the same for an hour, so that one who looks more often adds nothing.

    Args:
        model: The model.
        version: The version that serves by right.
        says: What is wrong.
        now: The present.
    """
    hour = floor(now, "hour")
    return Alarm(
        model=model.spec.name,
        owner=model.spec.owner,
        risk=model.spec.risk,
        version=version or "",
        kind="out_of_band",
        start=hour,
        end=hour + LENGTH["hour"],
        observed_at=hour,
        says=says,
    )


def not_looked_at(model: WatchedModel, why: str, start: datetime, end: datetime, now: datetime) -> Alarm:
    """Return the alarm that a model could not be looked at."""
    return Alarm(
        model=model.spec.name,
        owner=model.spec.owner,
        risk=model.spec.risk,
        version="",
        kind="monitoring_failed",
        start=start,
        end=max(end, start + timedelta(microseconds=1)),
        observed_at=now,
        says=why,
    )
