"""What may be at fault: a source, a column, a label feed, a deployment, the platform, or one model.

For each suspect two things are known: which alarms are a direct sign of it, and which follow, in a model
that shows such a sign, from the same fault (a column that breaks moves predictions, and those cost
performance).
"""

from collections.abc import Iterator
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from mlops_assets.monitoring.incidents.alarm import Alarm, Kind, Upstream
from mlops_assets.monitoring.incidents.upstream import Lineage

SuspectKind: TypeAlias = Literal[
    "model", "deployment", "column", "broken_source", "missing_source", "labels", "gateway", "monitoring"
]
# A version's first windows, in which a fault is laid at the door of its deployment.
FIRST_WINDOWS = 3

_INPUTS: frozenset[Kind] = frozenset(("data_drift", "data_quality"))
_OUTCOMES: frozenset[Kind] = frozenset(
    ("performance", "estimated_performance", "concept_drift", "fairness", "kpi", "untrusted_estimate")
)
_SERVING: frozenset[Kind] = frozenset(("latency", "errors", "throughput"))
_ANSWERS: frozenset[Kind] = _OUTCOMES | frozenset[Kind](("prediction_drift",))
_ERRORS: frozenset[Kind] = frozenset(("errors",))
_COST: frozenset[Kind] = frozenset(("cost",))
_LATE: frozenset[Kind] = frozenset(("errors", "throughput", "missing_labels", "label_shift"))
_DIRECT: dict[SuspectKind, frozenset[Kind]] = {
    "column": _INPUTS,
    "broken_source": _INPUTS,
    "missing_source": frozenset(("missing_data", "monitoring_failed")),
    "labels": frozenset(("label_shift", "missing_labels", "performance", "concept_drift")),
    "deployment": _ANSWERS | _SERVING | _COST,
    "gateway": _SERVING,
    "monitoring": frozenset(("monitoring_failed",)),
}
_FOLLOWS: dict[SuspectKind, frozenset[Kind]] = {
    "column": _ANSWERS | _ERRORS,
    "broken_source": _ANSWERS | _ERRORS,
    "missing_source": _ANSWERS | _INPUTS | _LATE,
    "labels": _OUTCOMES,
    "deployment": frozenset(),
    "gateway": _SERVING | frozenset[Kind](("cost", "kpi", "missing_data")),
    "monitoring": frozenset(),
    "model": frozenset(),
}


class Suspect(BaseModel):
    """What may be at fault.

    Attributes:
        kind: What sort of thing.
        source: Its source, if it is one or of one.
        column: The column, of a ``column`` or ``labels``; empty for the labels of a source as a whole.
        model: The model, of a ``model`` or ``deployment``.
        version: The version, of a ``deployment``.
    """

    model_config = ConfigDict(frozen=True)

    kind: SuspectKind
    source: str = ""
    column: str = ""
    model: str = ""
    version: str = ""

    @property
    def key(self) -> str:
        """One text for one suspect."""
        return "|".join((self.kind, self.source, self.column, self.model, self.version))

    def shows_in(self, alarm: Alarm, lineage: Lineage, *, known: bool = False) -> bool:
        """Return whether an alarm is a direct sign of it.

        Args:
            alarm: The alarm.
            lineage: The fleet.
            known: Whether it is at fault as far as is known; then what a deployment broke may show late.
        """
        from_here: tuple[Upstream, ...]
        match self.kind:
            case "model":
                return alarm.model == self.model
            case "deployment":
                return (
                    (alarm.model, alarm.version) == (self.model, self.version)
                    and alarm.kind in _DIRECT["deployment"]
                    and (known or is_fresh(alarm))
                )
            case "gateway" | "monitoring":
                return alarm.kind in _DIRECT[self.kind]
            case "labels":
                feed = lineage.labels_of(alarm.model)
                from_here = (feed,) if feed is not None else ()
            case _:
                from_here = alarm.upstream
        of_it = (each for each in from_here if each.source == self.source)
        return alarm.kind in _DIRECT[self.kind] and any(self.column in ("", each.column) for each in of_it)

    def follows_in(self, alarm: Alarm) -> bool:
        """Return whether an alarm of a model that it shows in may be its consequence."""
        return alarm.kind in _FOLLOWS[self.kind]

    def downstream(self, lineage: Lineage) -> frozenset[str]:
        """Return the models that it could show in."""
        match self.kind:
            case "model" | "deployment":
                return frozenset((self.model,))
            case "gateway" | "monitoring":
                return frozenset(lineage.models)
            case "labels":
                return lineage.labelled_by(self.source, self.column)
            case _:
                return lineage.readers(self.source, self.column)

    @property
    def place(self) -> str:
        """Where it is, in words."""
        match self.kind:
            case "column":
                return f"column {self.column} of {self.source}"
            case "labels":
                return f"labels {self.column} of {self.source}" if self.column else f"labels of {self.source}"
            case "broken_source" | "missing_source":
                return self.source
            case "deployment":
                return f"{self.model} version {self.version}"
            case "gateway":
                return "the gateway"
            case "monitoring":
                return "the monitoring"
            case "model":
                return f"model {self.model}"


def suspects_of(alarm: Alarm, lineage: Lineage) -> Iterator[Suspect]:
    """Yield whatever an alarm may be a direct sign of."""
    yield Suspect(kind="model", model=alarm.model)
    if alarm.kind in _DIRECT["deployment"] and is_fresh(alarm):
        yield Suspect(kind="deployment", model=alarm.model, version=alarm.version)
    if alarm.kind in _DIRECT["gateway"]:
        yield Suspect(kind="gateway")
    if alarm.kind in _DIRECT["monitoring"]:
        yield Suspect(kind="monitoring")
    for each in alarm.upstream:
        if alarm.kind in _INPUTS:
            yield Suspect(kind="broken_source", source=each.source)
            if each.column is not None:
                yield Suspect(kind="column", source=each.source, column=each.column)
        if alarm.kind in _DIRECT["missing_source"]:
            yield Suspect(kind="missing_source", source=each.source)
    feed = lineage.labels_of(alarm.model)
    if feed is not None and alarm.kind in _DIRECT["labels"]:
        yield Suspect(kind="labels", source=feed.source)
        if feed.column is not None:
            yield Suspect(kind="labels", source=feed.source, column=feed.column)


def is_fresh(alarm: Alarm) -> bool:
    """Return whether the alarm's window is among the first ones that its version answered."""
    if alarm.deployed_at is None:
        return False
    return (
        alarm.start <= alarm.deployed_at + (FIRST_WINDOWS - 1) * alarm.length
        and alarm.end > alarm.deployed_at
    )
