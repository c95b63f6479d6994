"""How bad an incident is: harm, broken data and a broken platform wake people; mere drift informs them."""

from collections.abc import Iterable

from mlops_assets.monitoring.incidents.alarm import Alarm, Kind
from mlops_assets.monitoring.incidents.suspects import Suspect
from mlops_assets.specs.alert_rules import SEVERITIES, Severity

# A feature that a model depends on less hardly matters to it.
LEAST_IMPORTANCE = 0.02
# So many more values are missing that predictions cannot be meant.
MANY_MISSING = 0.3

_DRIFT: frozenset[Kind] = frozenset(("data_drift", "data_quality"))
_INFORMING: frozenset[Kind] = frozenset(("prediction_drift", "cost", "untrusted_estimate"))


def worst(severities: Iterable[Severity]) -> Severity:
    """Return the worst of some severities."""
    return max(severities, key=SEVERITIES.index, default="information")


def severity_of(suspect: Suspect, alarms: Iterable[Alarm]) -> Severity:
    """Return how bad alarms are that have one cause.

    Args:
        suspect: The cause.
        alarms: The newest of each stream.
    """
    found = list(alarms)
    if suspect.kind == "gateway" and len({alarm.model for alarm in found}) > 1:
        return "page"
    unreliable = {alarm.model for alarm in found if alarm.kind == "untrusted_estimate"}
    return worst(_of_one(alarm, alarm.model in unreliable) for alarm in found)


def _of_one(alarm: Alarm, unreliable: bool) -> Severity:
    if alarm.harm == "measured" or (alarm.harm == "estimated" and not unreliable):
        return "page"
    if alarm.kind in _INFORMING:
        return "information"
    if alarm.kind not in _DRIFT:
        return "warning"
    if alarm.importance is not None and alarm.importance < LEAST_IMPORTANCE:
        return "information"
    return "page" if _is_broken(alarm) else "warning"


def _is_broken(alarm: Alarm) -> bool:
    """Return whether a needed column is such that predictions cannot be meant."""
    change = alarm.change
    if change is None:
        return False
    if change.move == "missing":
        known = change.before is not None and change.now is not None
        return known and (change.now or 0.0) - (change.before or 0.0) >= MANY_MISSING
    return change.move == "scaled"
