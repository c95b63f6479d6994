"""What the platform's own database tells of the fleet: windows, incidents, decisions and the audit chain.

Everything here blocks, and imports SQLAlchemy when it is asked first; see :mod:`.reading`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import StorageError
from mlops_assets.home import Home
from mlops_assets.registry.releases import DRILLED

if TYPE_CHECKING:
    from mlops_assets.governance.audit_chain import AuditChain
    from mlops_assets.governance.audit_entry import Entry
    from mlops_assets.monitoring.assessment.record import Assessment
    from mlops_assets.monitoring.fleet_state import FiledDecision, FleetState, ModelOverview
    from mlops_assets.monitoring.incidents.incident import Event, Incident
    from mlops_assets.monitoring.incidents.store import IncidentStore

# A model that was not watched for longer has nothing to show; months are 30 windows in 2.5 years.
_LOOK_BACK = timedelta(days=1_000)
_WINDOWS, _ENTRIES, _DECISIONS, _INCIDENTS = 30, 100, 100, 20


@dataclass(frozen=True)
class KnownFleet:
    """What is known of all models.

    Attributes:
        overviews: Their last windows at a glance, by model.
        incidents: Incidents that are not over, by model, the worst first.
        drills: The entry of the last drill, by model.
        untold: Why nothing is known; empty if it is.
    """

    overviews: Mapping[str, "ModelOverview"] = field(default_factory=dict)
    incidents: Mapping[str, Sequence["Incident"]] = field(default_factory=dict)
    drills: Mapping[str, "Entry"] = field(default_factory=dict)
    untold: str = ""


@dataclass(frozen=True)
class KnownModel:
    """What is known of one model.

    Attributes:
        glance: What its row on the page of all models shows.
        assessments: Its last windows, oldest first.
        decisions: What was decided about retraining it, newest first.
        entries: What the audit chain holds of it, oldest first.
        incidents: Its last incidents with their timelines, newest first.
        untold: Why nothing is known; empty if it is.
    """

    glance: KnownFleet = KnownFleet()
    assessments: Sequence["Assessment"] = ()
    decisions: Sequence["FiledDecision"] = ()
    entries: Sequence["Entry"] = ()
    incidents: Sequence[tuple["Incident", Sequence["Event"]]] = ()
    untold: str = ""


class PlatformRecords:
    """Reads the platform's database of a home.

    Args:
        home: Where it is.
    """

    def __init__(self, home: Home) -> None:
        self._home = home

    def fleet(self) -> KnownFleet:
        """Return what is known of all models, by a handful of queries however many models there are.

        Raises:
            StorageError: There is no such database, or it cannot be read.
        """
        self._require_one()
        return KnownFleet(
            self._state.overview(_LOOK_BACK, _WINDOWS),
            self._incidents.by_model(),
            self._audit.newest_by_model((DRILLED,)),
        )

    def model(self, name: str) -> KnownModel:
        """Return what is known of one model.

        Raises:
            StorageError: As for :meth:`fleet`.
        """
        from mlops_assets.monitoring.incidents.incident import STATES
        from mlops_assets.monitoring.incidents.store import GOING_ON

        self._require_one()
        found = self._incidents.incidents(states=STATES, model=name)
        entries = self._audit.entries(name, last=_ENTRIES)
        drill = self._audit.newest(name, (DRILLED,))
        glance = KnownFleet(
            self._state.overview(_LOOK_BACK, _WINDOWS, name),
            {name: [each for each in found if each.state in GOING_ON]},
            {name: drill} if drill else {},
        )
        newest = sorted(found, key=lambda each: (each.opened_at, each.id), reverse=True)[:_INCIDENTS]
        return KnownModel(
            glance,
            self._state.assessments(name, _WINDOWS),
            self._state.decisions_about(name, _DECISIONS),
            entries,
            [(each, self._incidents.timeline(each.id)) for each in newest],
        )

    def _require_one(self) -> None:
        """Have nobody make a database by looking at it."""
        url = self._home.state_url
        file = Path(url.removeprefix("sqlite:///").partition("?")[0])
        if url.startswith("sqlite:///") and not file.exists():
            raise StorageError(
                f"there is no fleet state at {file}: nothing was released or watched yet, or it is elsewhere "
                f"and MLOPS_STATE_URL does not say so"
            )

    @cached_property
    def _state(self) -> "FleetState":
        from mlops_assets.monitoring.fleet_state import FleetState

        return FleetState(self._home.state_url)

    @cached_property
    def _incidents(self) -> "IncidentStore":
        from mlops_assets.monitoring.incidents.store import IncidentStore

        return IncidentStore(self._home.state_url)

    @cached_property
    def _audit(self) -> "AuditChain":
        from mlops_assets.governance.audit_chain import AuditChain

        return AuditChain(self._home.state_url, self._home.audit_checkpoints)
