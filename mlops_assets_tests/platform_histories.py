"""What the platform's database holds of models after a while: windows, incidents, decisions, releases."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np

from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.home import Home
from mlops_assets.monitoring.assessment.record import Assessment, ColumnDrift, EstimatedMetric
from mlops_assets.monitoring.fleet_state import FleetState
from mlops_assets.monitoring.incidents import life
from mlops_assets.monitoring.incidents.alarm import Alarm, Kind
from mlops_assets.monitoring.incidents.incident import Incident
from mlops_assets.monitoring.incidents.store import IncidentStore
from mlops_assets.monitoring.incidents.upstream import WatchedModel
from mlops_assets.monitoring.retraining import Decision
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.policy_file import load_policy

DAY = timedelta(days=1)
# Labels of the newest windows are not known yet.
LABEL_DELAY = 3


@dataclass(frozen=True)
class WatchedCourse:
    """How a model fared.

    Attributes:
        model: Model name.
        owner: Who answers for it.
        risk: Its risk.
        metric: Its primary metric.
        level: What that is where nothing is wrong.
        fell: By how much it is less in the last windows with labels, which then show harm.
        drifted: Columns that drifted in the newest window.
        cost: Of 1,000 predictions.
        columns: How many columns it reads.
        version: Which version served.
    """

    model: str
    owner: str = "team:risk"
    risk: str = "limited"
    metric: str = "roc_auc"
    level: float = 0.8
    fell: float = 0.0
    drifted: tuple[str, ...] = ()
    cost: float | None = 0.031
    columns: int = 8
    version: str = "1"


@dataclass
class PlatformHistory:
    """Writes such a history into a home's database, by the platform's own ways.

    Attributes:
        home: The home.
        until: End of the newest window.
    """

    home: Home
    until: datetime = field(
        default_factory=lambda: utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    )

    _watched: dict[str, WatchedModel] = field(default_factory=dict, init=False)

    @cached_property
    def state(self) -> FleetState:
        return FleetState(self.home.state_url)

    @cached_property
    def incidents(self) -> IncidentStore:
        return IncidentStore(self.home.state_url)

    @cached_property
    def audit(self) -> AuditChain:
        return AuditChain(self.home.state_url, self.home.audit_checkpoints)

    def windows(self, course: WatchedCourse, count: int = 30, seed: int = 0) -> list[int]:
        """File daily windows; return their ids."""
        random = np.random.default_rng(seed)
        ids = []
        for n in range(count):
            start = self.until - (count - n) * DAY
            fell = course.fell if count - LABEL_DELAY - 4 <= n < count - LABEL_DELAY else 0.0
            value = course.level - fell + course.level * random.normal(0, 0.01)
            guess = course.level - 0.8 * fell + course.level * random.normal(0, 0.007)
            half = 0.03 * course.level
            known = n < count - LABEL_DELAY
            drifted = course.drifted if n == count - 1 else ()
            found: dict[str, Any] = {
                "metrics": {course.metric: (value, value - half, value + half)} if known else {},
                "estimated": {
                    course.metric: EstimatedMetric(
                        value=guess, low=guess - half, high=guess + half, trust="trusted", why="it has held"
                    )
                },
                "labelled": 900 if known else 0,
                "harm": known and fell != 0,
                "harm_shown": ("measured" if fell else "not_shown") if known else "cannot_tell",
                "drift": [
                    ColumnDrift(column=name, drifted=name in drifted, distances={"psi": 0.02, "ks": 0.04})
                    for name in {f"column_{c}" for c in range(course.columns)}.union(drifted)
                ],
            }
            ids.append(self.state.record_assessment(self.assessment(course, start, **found)))
        return ids

    def assessment(self, course: WatchedCourse, start: datetime, **found: Any) -> Assessment:
        return Assessment(
            **{
                "model": course.model,
                "owner": course.owner,
                "risk": course.risk,
                "metric": course.metric,
                "version": course.version,
                "as_of": start + DAY,
                "start": start,
                "end": start + DAY,
                "served": 1_200,
                "cost": course.cost,
                **found,
            }
        )

    def alarm(self, course: WatchedCourse, kind: Kind, subject: str = "", **more: Any) -> Alarm:
        """Return an alarm of the newest window."""
        told = {
            **{"model": course.model, "owner": course.owner, "risk": course.risk, "version": "1"},
            **{"kind": kind, "subject": subject, "start": self.until - DAY, "end": self.until},
            **{"observed_at": self.until, "says": f"{kind.replace('_', ' ')} of {subject or course.model}"},
        }
        return Alarm(**{**told, **more})

    def incident(self, course: WatchedCourse, kind: Kind, subject: str = "", **more: Any) -> Incident:
        """Have an alarm of the newest window become an incident; return it."""
        # Those of before too: an incident whose models are gone is over.
        self._watched[course.model] = WatchedModel(
            model=course.model, owner=course.owner, risk=course.risk, version="1", judged_until=self.until
        )
        alarm = self.alarm(course, kind, subject, **more)
        watched = self._watched.values()
        taken = self.incidents.take_in([alarm], watched, load_policy().alerts, self.until)
        [number] = taken.opened
        return self.incidents.incident(number)

    def acknowledge(self, number: int, actor: str, reason: str) -> None:
        at = self.until + DAY / 4
        self.incidents.change(number, lambda each: life.acknowledged(each, actor, reason, at))

    def decide(self, id_: int, trigger: Any, retrain: bool, reason: str) -> None:
        assessment = self.state.assessment(id_)
        self.state.record_decision(id_, assessment, Decision(trigger, retrain, reason))
