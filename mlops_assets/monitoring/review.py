"""The periodic review of a fleet: what went wrong, what was done about it, and what is left to do."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mlops_assets.evaluation.metrics import higher_is_better
from mlops_assets.governance.audit_entry import Entry
from mlops_assets.governance.documents import Document, page
from mlops_assets.monitoring.fleet_state import FiledDecision, WindowGlance
from mlops_assets.monitoring.incidents.incident import Incident
from mlops_assets.specs.alert_rules import SEVERITIES

_CHANGES = ("promote", "rollback", "abort")
_MOST_TOLD = 50


@dataclass(frozen=True)
class Declared:
    """What a spec and a policy say of a model, as far as a review asks.

    Attributes:
        model: Model name.
        owner: Who answers for it.
        risk: Its risk.
        serves: Whether a version of it serves.
        drilled_at: When the way back was rehearsed last; None if never.
        drill_age: How old that may be; None if no rehearsal is asked for.
    """

    model: str
    owner: str
    risk: str
    serves: bool = True
    drilled_at: datetime | None = None
    drill_age: timedelta | None = None


@dataclass(frozen=True)
class ModelReview:
    """How one model fared.

    Attributes:
        declared: What it is.
        windows: How many windows were looked at.
        served: Rows answered in them.
        metric: Its primary metric.
        last: What was measured of the newest window with labels; None if none had any.
        worst: The worst that was measured.
        estimated: What was estimated of the newest window.
        harm: In how many windows it did harm.
        alarms: How many alarms there were.
        cost: Of 1,000 predictions, on average over windows; None if not known.
        changes: How often what serves was changed.
        retrained: How often it was retrained by itself.
    """

    declared: Declared
    windows: int
    served: int
    metric: str
    last: float | None
    worst: float | None
    estimated: float | None
    harm: int
    alarms: int
    cost: float | None
    changes: int
    retrained: int


@dataclass(frozen=True)
class Review:
    """How a fleet fared.

    Attributes:
        since: From when on.
        until: Until when.
        owner: Whose models; None for all.
        models: Each, those that fared worst first.
        incidents: What went wrong, the worst first.
        changes: What changed production, the newest first.
        decisions: Retrainings that were called for, the newest first.
        to_do: What somebody ought to look at, in sentences.
    """

    since: datetime
    until: datetime
    owner: str | None
    models: Sequence[ModelReview]
    incidents: Sequence[Incident]
    changes: Sequence[Entry]
    decisions: Sequence[FiledDecision]
    to_do: Sequence[str] = field(default=())

    @property
    def pages(self) -> int:
        """How many incidents called somebody."""
        return sum(each.severity == "page" for each in self.incidents)

    @property
    def by_kind(self) -> Mapping[str, int]:
        """How many incidents there were of each kind, the most frequent first."""
        return dict(Counter(each.kind.replace("_", " ") for each in self.incidents).most_common())

    def document(self) -> Document:
        """Return it as Markdown and as a page that needs nothing but itself."""
        return page("review", review=self, most=_MOST_TOLD)

    def as_record(self) -> dict[str, object]:
        """Return its figures as plain values."""
        return {
            "since": self.since,
            "until": self.until,
            "owner": self.owner,
            "models": [{**vars(each), "declared": vars(each.declared)} for each in self.models],
            "incidents": [each.model_dump(mode="json") for each in self.incidents],
            "changes": [each.model_dump() for each in self.changes],
            "decisions": [vars(each) for each in self.decisions],
            "to_do": list(self.to_do),
        }


def review(
    declared: Iterable[Declared],
    windows: Iterable[WindowGlance],
    incidents: Iterable[Incident],
    decisions: Iterable[FiledDecision],
    entries: Iterable[Entry],
    *,
    since: datetime,
    until: datetime,
    owner: str | None = None,
) -> Review:
    """Return how a fleet fared between two times.

    Args:
        declared: Its models.
        windows: What was looked at, oldest first.
        incidents: What went wrong, also what is over.
        decisions: What was decided about retraining.
        entries: The audit chain's.
        since: From when on, naive UTC.
        until: Until when.
        owner: Only models of this owner.
    """
    asked = {each.model: each for each in declared if owner in (None, each.owner)}
    looked: dict[str, list[WindowGlance]] = {name: [] for name in asked}
    for window in windows:
        if window.model in looked:
            looked[window.model].append(window)
    changes = [each for each in entries if each.model in asked and each.action in _CHANGES]
    called = [each for each in decisions if each.model in asked and each.trigger is not None]
    hit = [each for each in incidents if any(name in asked for name in each.models) or not each.models]
    hit = [each for each in hit if each.merged_into is None and each.last_alarm_at >= since]
    models = [_of_model(each, looked[name], changes, called) for name, each in sorted(asked.items())]
    return Review(
        since=since,
        until=until,
        owner=owner,
        models=sorted(models, key=lambda each: (-each.harm, -each.alarms, each.declared.model)),
        incidents=sorted(hit, key=lambda each: (-SEVERITIES.index(each.severity), each.id)),
        changes=changes[::-1],
        decisions=called[::-1],
        to_do=tuple(_to_do(models, hit, until)),
    )


def _of_model(
    declared: Declared,
    windows: Sequence[WindowGlance],
    changes: Iterable[Entry],
    decisions: Iterable[FiledDecision],
) -> ModelReview:
    metric = windows[-1].metric if windows else ""
    measured = [each.measured for each in windows if each.measured is not None and each.metric == metric]
    costs = [each.cost for each in windows if each.cost is not None]
    worst = (min if higher_is_better(metric) else max)(measured) if measured else None
    return ModelReview(
        declared=declared,
        windows=len(windows),
        served=sum(each.served for each in windows),
        metric=metric,
        last=measured[-1] if measured else None,
        worst=worst,
        estimated=windows[-1].estimated if windows else None,
        harm=sum(each.harm for each in windows),
        alarms=sum(each.alarms for each in windows),
        cost=sum(costs) / len(costs) if costs else None,
        changes=sum(each.model == declared.model for each in changes),
        retrained=sum(each.model == declared.model and each.retrain for each in decisions),
    )


def _to_do(models: Iterable[ModelReview], incidents: Iterable[Incident], until: datetime) -> Iterable[str]:
    for incident in incidents:
        if incident.state == "open" and incident.severity != "information":
            yield f"Incident {incident.id} ({incident.severity}) waits for somebody: {incident.title}"
    for each in models:
        name, declared = each.declared.model, each.declared
        if not declared.serves:
            continue
        if not each.windows:
            yield f"{name} serves and no window of it was looked at; is its schedule running?"
        elif not each.served:
            yield f"{name} answered nothing in {each.windows} windows; is it still needed?"
        elif each.last is None:
            yield f"{name} had no window with labels enough; without them harm can only be estimated"
        if each.harm and not each.retrained and not each.changes:
            yield f"{name} did harm in {each.harm} windows, and nothing was changed"
        if declared.drill_age is not None and (
            declared.drilled_at is None or until - declared.drilled_at > declared.drill_age
        ):
            told = "never" if declared.drilled_at is None else f"last on {declared.drilled_at:%Y-%m-%d}"
            yield f"The way back of {name} was rehearsed {told}; the policy asks for one more often"
