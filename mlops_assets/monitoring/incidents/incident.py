"""An incident: one matter, from its first alarm to its end, and what happened to it on the way."""

from datetime import datetime
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from mlops_assets.monitoring.incidents.alarm import Harm, Kind
from mlops_assets.monitoring.incidents.cause import Cause
from mlops_assets.specs.alert_rules import PLATFORM_OWNER, SEVERITIES, Severity
from mlops_assets.specs.durations import UtcTime

State: TypeAlias = Literal["open", "acknowledged", "resolved"]
STATES: tuple[State, ...] = ("open", "acknowledged", "resolved")
What: TypeAlias = Literal[
    "opened",
    "joined",
    "worse",
    "cause",
    "absorbed",
    "merged",
    "acknowledged",
    "silenced",
    "resolved",
    "reopened",
    "escalated",
    "told",
    "not_told",
    "gave_up",
]
# Who acts if nobody does in person.
MONITORING = "monitoring"


class Event(BaseModel):
    """Something that happened to an incident.

    Attributes:
        at: When.
        what: What.
        actor: Who did it; :data:`MONITORING` if nobody in person.
        text: What there is to say of it: of what people do, their reason.
    """

    model_config = ConfigDict(frozen=True)

    at: UtcTime
    what: What
    actor: str = MONITORING
    text: str = ""


class Told(BaseModel):
    """What one route was told last of an incident."""

    model_config = ConfigDict(frozen=True)

    at: UtcTime
    severity: Severity


class Quiet(BaseModel):
    """How long a model has shown nothing of an incident.

    Attributes:
        until: End of the newest window of the model that was judged.
        windows: How many of its windows in a row showed nothing.
    """

    model_config = ConfigDict(frozen=True)

    until: UtcTime
    windows: int = 0


class Incident(BaseModel):
    """One matter.

    Attributes:
        id: Its number; 0 until it is filed.
        kind: Of its worst alarm, which names the runbook.
        cause: What is probably at fault.
        severity: The worst it has been since it was opened.
        owners: How bad it is for whom.
        harm: The worst harm shown.
        effect: What it is expected to do, or does, to a model's metric.
        state: Whether anybody has taken charge of it.
        opened_at: When it was opened, or opened again.
        reopened: How often it was opened again.
        last_alarm_at: End of the newest window that showed it.
        quiet: How long each model hit has shown nothing.
        acknowledged_at: When somebody took charge.
        resolved_at: When it ended.
        resolved_by: Who ended it.
        silenced_until: Until when nobody is told.
        escalated_at: When it was escalated.
        told: What each route was told last since it was opened.
        merged_into: The incident that it turned out to be part of.
    """

    model_config = ConfigDict(frozen=True)

    id: int = 0
    kind: Kind
    cause: Cause
    severity: Severity
    owners: dict[str, Severity]
    harm: Harm = "not_shown"
    effect: str = ""
    state: State = "open"
    opened_at: UtcTime
    reopened: int = 0
    last_alarm_at: UtcTime
    quiet: dict[str, Quiet] = {}
    acknowledged_at: UtcTime | None = None
    resolved_at: UtcTime | None = None
    resolved_by: str = ""
    silenced_until: UtcTime | None = None
    escalated_at: UtcTime | None = None
    told: dict[str, Told] = {}
    merged_into: int | None = None

    @property
    def owner(self) -> str:
        """Whom it is worst for: the platform if it is the platform's, of several the first by name."""
        if PLATFORM_OWNER in self.owners:
            return PLATFORM_OWNER
        return min(self.owners, key=lambda owner: (-SEVERITIES.index(self.owners[owner]), owner))

    @property
    def models(self) -> tuple[str, ...]:
        """The models hit."""
        return self.cause.hit

    @property
    def title(self) -> str:
        """What and where, in one line."""
        return self.cause.title

    def is_silenced(self, now: datetime) -> bool:
        """Return whether nobody is told at a time."""
        return self.silenced_until is not None and now < self.silenced_until

    def changed(self, **values: Any) -> "Incident":
        """Return it with other values."""
        return self.model_copy(update=values)
