"""How well a suspect explains alarms: what each says for it, and what those say that are not there.

All is in natural logarithms of likelihood ratios: how much more probable what is seen would be if the suspect
were at fault than if every alarm were a false one.
"""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.monitoring.incidents.alarm import Alarm
from mlops_assets.monitoring.incidents.assumptions import Assumptions
from mlops_assets.monitoring.incidents.change import Family
from mlops_assets.monitoring.incidents.suspects import Suspect
from mlops_assets.monitoring.incidents.upstream import Lineage


@dataclass(frozen=True)
class Explanation:
    """How a suspect explains alarms that began together.

    Attributes:
        suspect: The suspect.
        since: When the first of the windows starts in which it shows.
        weights: What each alarm that it explains says for it, by the alarm's stream.
        signs: Of these, those that are direct signs.
        hit: Models that show a direct sign.
        spared: Models downstream that were judged since and show none.
        could: How many signs there could have been.
        against: What missing signs say against it.
        news: What it says for it that it is new just now.
        detection: The probability of a sign that is assumed.
        family: In which way most signs moved; None if they do not move.
        alike: How many did.
    """

    suspect: Suspect
    since: datetime
    weights: dict[str, float]
    signs: frozenset[str]
    hit: tuple[str, ...]
    spared: tuple[str, ...]
    could: int
    against: float
    news: float
    detection: float
    family: Family | None
    alike: int

    @property
    def price(self) -> float:
        """What speaks against it: signs that are not there; for a new version, that it is new."""
        return self.against - self.news

    @property
    def ratio(self) -> float:
        """By how much more probable what is seen is with this fault than by chance; natural logarithm."""
        return sum(self.weights.values()) - self.price


def explain(
    suspect: Suspect,
    signs: Sequence[Alarm],
    others: Sequence[Alarm],
    lineage: Lineage,
    given: Assumptions,
    before: Collection[str] = (),
) -> Explanation:
    """Return how a suspect explains what is seen.

    Args:
        suspect: The suspect.
        signs: Alarms that are direct signs of it and began together; at least one, one of each stream.
        others: Alarms that may follow from it.
        lineage: The fleet.
        given: What is assumed.
        before: Models that showed it before already; they tell neither for nor against.
    """
    signs = main_signs(suspect, signs)
    since = min(alarm.start for alarm in signs)
    length = max(alarm.length for alarm in signs)
    families = Counter(alarm.change.family for alarm in signs if alarm.change is not None)
    family, alike = families.most_common(1)[0] if families else (None, 0)
    detection = _detection(suspect, signs, given)
    weights = {alarm.stream: _weight(suspect, alarm, detection, given) for alarm in signs}
    if suspect.kind in ("column", "broken_source"):
        for alarm in signs:
            weights[alarm.stream] += _likeness(alarm, family, alike, len(signs), given)
    hit = frozenset(alarm.model for alarm in signs)
    following = [
        alarm
        for alarm in others
        if alarm.model in hit
        and alarm.stream not in weights
        and suspect.follows_in(alarm)
        and alarm.end > since
        and (alarm.start >= since or alarm.near(since, length))
    ]
    weights |= consequences(following, len(hit), given)
    downstream = suspect.downstream(lineage)
    spared = frozenset(name for name in downstream - hit - set(before) if lineage.judged_since(name, since))
    could = _could(suspect, hit | spared, len(signs), lineage)
    return Explanation(
        suspect=suspect,
        since=since,
        weights=weights,
        signs=frozenset(alarm.stream for alarm in signs),
        hit=tuple(sorted(hit)),
        spared=tuple(sorted(spared)),
        could=could,
        against=max(could - _shown(suspect, signs), 0) * given.silence(detection),
        news=-math.log(given.fresh) if suspect.kind == "deployment" else 0.0,
        detection=detection,
        family=family,
        alike=alike,
    )


def main_signs(suspect: Suspect, signs: Sequence[Alarm]) -> list[Alarm]:
    """Return the signs that count; others of them may follow.

    A gateway is slow for all or fails for all. If most answers are slow, and one model fails, then that is
    only as much its doing as it is common among the slow ones.
    """
    if suspect.kind != "gateway":
        return list(signs)
    kinds = Counter(alarm.kind for alarm in signs)
    main = max(kinds, key=lambda kind: (kinds[kind], kind))
    return [alarm for alarm in signs if alarm.kind == main]


def _detection(suspect: Suspect, signs: Sequence[Alarm], given: Assumptions) -> float:
    clear = sum(alarm.change is not None and alarm.change.is_a_fault for alarm in signs)
    if suspect.kind in ("column", "broken_source") and 2 * clear >= len(signs):
        return given.clear_detection
    return given.detection[suspect.kind]


def _weight(suspect: Suspect, alarm: Alarm, detection: float, given: Assumptions) -> float:
    """Return what one sign says for a suspect."""
    weight = given.sign(detection)
    match suspect.kind:
        case "labels" if alarm.kind in ("performance", "concept_drift"):
            return weight + math.log(given.other_outcome)
        case "model":
            of_others = alarm.kind in ("missing_data", "label_shift", "missing_labels", "monitoring_failed")
            if of_others or (alarm.change is not None and alarm.change.is_a_fault):
                return weight + math.log(given.own_fault)
    return weight


def consequences(following: Sequence[Alarm], hit: int, given: Assumptions) -> dict[str, float]:
    """Return what consequences say, each kind by how many of the models hit show it and how many do not.

    What one model in ten shows is hardly due to what hit all ten.
    """
    models: dict[str, set[str]] = {}
    for alarm in following:
        models.setdefault(alarm.kind, set()).add(alarm.model)
    weights = {}
    for alarm in following:
        shown = len(models[alarm.kind])
        often = (shown + given.follows) / (hit + 1)
        weights[alarm.stream] = given.sign(often) - (hit - shown) / shown * given.silence(often)
    return weights


def _likeness(alarm: Alarm, family: Family | None, alike: int, signs: int, given: Assumptions) -> float:
    """Return what it says that a sign moved as most others did, or otherwise."""
    if family is None or alarm.change is None or signs < 2:
        return 0.0
    if alarm.change.family == family:
        return math.log(given.alike / given.alike_by_chance) if alike > 1 else 0.0
    return math.log((1 - given.alike) / (1 - given.alike_by_chance))


def _could(suspect: Suspect, witnesses: frozenset[str], signs: int, lineage: Lineage) -> int:
    """Return how many signs there could be among models that were judged."""
    if suspect.kind in ("model", "deployment"):  # which of its figures would move, nobody can say
        return signs
    if suspect.kind != "broken_source":
        return len(witnesses)
    return max(sum(lineage.columns_read(name, suspect.source) for name in witnesses), signs)


def _shown(suspect: Suspect, signs: Sequence[Alarm]) -> int:
    """Return how many of the signs there could be are there."""
    if suspect.kind in ("model", "deployment", "broken_source"):
        return len(signs)
    return len({alarm.model for alarm in signs})
