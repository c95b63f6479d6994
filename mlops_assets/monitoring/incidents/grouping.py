"""Which alarms are one matter: each goes to the suspect that explains it best, and suspects have to earn it.

The fewest faults that explain what is seen: a suspect costs as much as it is improbable that it is at fault,
and as its missing signs say against it; each alarm goes where it is explained best, or counts as false.
Faults that are known already cost nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from mlops_assets.monitoring.incidents.alarm import Alarm
from mlops_assets.monitoring.incidents.assumptions import Assumptions
from mlops_assets.monitoring.incidents.explanation import Explanation, consequences, explain, main_signs
from mlops_assets.monitoring.incidents.location import Facility, locate
from mlops_assets.monitoring.incidents.suspects import Suspect, SuspectKind, suspects_of
from mlops_assets.monitoring.incidents.upstream import Lineage

# Where two suspects explain a lone alarm equally well, the one that claims least.
_MODEST: tuple[SuspectKind, ...] = (
    "model",
    "deployment",
    "column",
    "labels",
    "missing_source",
    "broken_source",
    "gateway",
    "monitoring",
)
# What may turn out to be part of something larger.
_SMALL: frozenset[SuspectKind] = frozenset(("model", "column"))


@dataclass(frozen=True)
class Standing:
    """A known fault that goes on.

    Attributes:
        id: Number of its incident.
        suspect: What is at fault.
        since: Since when.
        alarms: The first alarm of each stream that is laid at its door.
        settled: Whether people have taken charge of it, so that it is not made part of another.
    """

    id: int
    suspect: Suspect
    since: datetime
    alarms: tuple[Alarm, ...]
    settled: bool = False


@dataclass
class Group:
    """New alarms that are one matter.

    Attributes:
        suspect: What is probably at fault.
        alarms: The new alarms.
        joins: The known fault that they belong to; None if it is a new one.
        absorbs: Known faults that turn out to be part of it.
    """

    suspect: Suspect
    alarms: list[Alarm] = field(default_factory=list)
    joins: int | None = None
    absorbs: tuple[int, ...] = ()


def group(
    alarms: Sequence[Alarm], standing: Sequence[Standing], lineage: Lineage, given: Assumptions
) -> list[Group]:
    """Return what new alarms are about; each is in exactly one group.

    Args:
        alarms: New ones, one of each stream.
        standing: What is known to be at fault.
        lineage: The fleet.
        given: What is assumed.
    """
    ordered = sorted(alarms, key=lambda alarm: alarm.stream)
    scene = _Scene(ordered, standing, lineage, given)
    known = [scene.known(each) for each in standing]
    explanations = scene.explanations({each.suspect for each in standing})
    possible = [scene.possible(each) for each in explanations]
    served = locate(known, possible)
    groups: dict[object, Group] = {}
    for alarm in ordered:
        place = served.get(alarm.stream)
        if place is None:
            suspect = scene.likeliest(alarm)
            groups.setdefault(suspect, Group(suspect)).alarms.append(alarm)
        elif place < len(known):
            each = standing[place]
            groups.setdefault(place, Group(each.suspect, joins=each.id)).alarms.append(alarm)
        else:
            explanation = explanations[place - len(known)]
            absorbs = tuple(sorted(possible[place - len(known)].saves))
            groups.setdefault(place, Group(explanation.suspect, absorbs=absorbs)).alarms.append(alarm)
    return _distinct(groups.values())


class _Scene:
    """What there is to explain, and by what it might be."""

    def __init__(
        self, alarms: Sequence[Alarm], standing: Sequence[Standing], lineage: Lineage, given: Assumptions
    ) -> None:
        self._alarms = {alarm.stream: alarm for alarm in alarms}
        self._standing, self._lineage, self._given = standing, lineage, given
        self._by_model = _by_model(alarms)
        self._old = [alarm for each in standing for alarm in each.alarms if alarm.stream not in self._alarms]
        self.all_explanations = list(self._explained())

    def explanations(self, known: set[Suspect]) -> list[Explanation]:
        """Return how suspects explain what is new, but those who are known to be at fault."""
        return [each for each in self.all_explanations if each.suspect not in known]

    def possible(self, explanation: Explanation) -> Facility:
        """Return what it is worth, and costs, to suppose a fault."""
        weights = explanation.weights
        absorbs = frozenset(
            each.id
            for each in self._standing
            if not each.settled
            and each.suspect.kind in _SMALL
            and all(alarm.stream in weights for alarm in each.alarms)
        )
        return Facility(
            {name: weight for name, weight in weights.items() if name in self._alarms and weight > 0},
            self._given.cost + explanation.price,
            absorbs,
            self._given.cost,
        )

    def known(self, standing: Standing) -> Facility:
        """Return what it is worth to lay new alarms at the door of a known fault."""
        given, suspect = self._given, standing.suspect
        old = [alarm for alarm in standing.alarms if suspect.shows_in(alarm, self._lineage, known=True)]
        old = main_signs(suspect, old) if old else list(standing.alarms)
        kinds, hit = {alarm.kind for alarm in old}, {alarm.model for alarm in old}
        length = max((alarm.length for alarm in old), default=timedelta())
        late = given.sign(given.late) - given.sign(1.0)
        weights, following = {}, list[Alarm]()
        for alarm in self._near(suspect, hit):
            shows = suspect.shows_in(alarm, self._lineage, known=True)
            if alarm.end <= standing.since:
                continue
            if shows and (suspect.kind != "gateway" or alarm.kind in kinds):
                weight = given.sign(given.detection[suspect.kind])
                weights[alarm.stream] = weight if alarm.near(standing.since, length) else weight + late
            elif alarm.model in hit and suspect.follows_in(alarm):
                following.append(alarm)
        signs = {alarm.stream for alarm in old}
        known = [alarm for alarm in standing.alarms if alarm.stream not in signs]
        followed = consequences([*following, *known], len(hit), given)
        weights |= {alarm.stream: followed[alarm.stream] for alarm in following}
        return Facility({name: weight for name, weight in weights.items() if weight > 0}, 0.0)

    def likeliest(self, alarm: Alarm) -> Suspect:
        """Return what explains an alarm best that nothing explains well: it is as good as chance."""

        def rank(explanation: Explanation) -> tuple[float, int]:
            weight = explanation.weights[alarm.stream] - explanation.price
            return round(weight, 6), -_MODEST.index(explanation.suspect.kind)

        return max(self._explaining[alarm.stream], key=rank).suspect

    @cached_property
    def _explaining(self) -> dict[str, list[Explanation]]:
        found: dict[str, list[Explanation]] = {}
        for explanation in self.all_explanations:
            for stream in explanation.weights:
                found.setdefault(stream, []).append(explanation)
        return found

    def _explained(self) -> Iterator[Explanation]:
        """Yield how each suspect explains each cluster of its signs that has a new one."""
        by_model = _by_model((*self._alarms.values(), *self._old))
        signs: dict[Suspect, list[Alarm]] = {}
        for alarm in (*self._alarms.values(), *self._old):
            for suspect in suspects_of(alarm, self._lineage):
                signs.setdefault(suspect, []).append(alarm)
        for suspect, of_it in signs.items():
            everywhere = {alarm.model for alarm in of_it}
            for cluster in _clusters(of_it):
                if all(alarm.stream not in self._alarms for alarm in cluster):
                    continue
                models = dict.fromkeys(alarm.model for alarm in cluster)
                others = [alarm for model in models for alarm in by_model[model]]
                before = everywhere - models.keys()
                yield explain(suspect, cluster, others, self._lineage, self._given, before)

    def _near(self, suspect: Suspect, hit: Iterable[str]) -> Iterator[Alarm]:
        """Yield the new alarms that may have to do with a suspect, without asking all of them."""
        downstream = suspect.downstream(self._lineage)
        models = self._by_model.keys() & downstream if len(downstream) > len(self._by_model) else downstream
        for model in {*models, *hit}:
            yield from self._by_model.get(model, ())


def _distinct(groups: Iterable[Group]) -> list[Group]:
    """Return groups that each absorb what no other does."""
    taken: set[int] = set()
    found = []
    for each in groups:
        each.absorbs = tuple(number for number in each.absorbs if number not in taken)
        taken |= set(each.absorbs)
        found.append(each)
    return found


def _by_model(alarms: Iterable[Alarm]) -> dict[str, list[Alarm]]:
    found: dict[str, list[Alarm]] = {}
    for alarm in alarms:
        found.setdefault(alarm.model, []).append(alarm)
    return found


def _clusters(signs: list[Alarm]) -> Iterator[list[Alarm]]:
    """Yield signs that began together."""
    cluster: list[Alarm] = []
    for alarm in sorted(signs, key=lambda each: each.start):
        if cluster and not alarm.near(cluster[-1].start, cluster[-1].length):
            yield cluster
            cluster = []
        cluster.append(alarm)
    if cluster:
        yield cluster
