"""The probable cause of an incident in words: what, where, since when, who is hit and who is not, and why."""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from mlops_assets.monitoring.incidents.alarm import Alarm
from mlops_assets.monitoring.incidents.assumptions import Assumptions
from mlops_assets.monitoring.incidents.change import Change
from mlops_assets.monitoring.incidents.explanation import Explanation, explain
from mlops_assets.monitoring.incidents.suspects import FIRST_WINDOWS, Suspect
from mlops_assets.monitoring.incidents.upstream import Lineage
from mlops_assets.specs.durations import UtcTime

_NAMED = 6
_NOUNS = {
    "latency": "answers are slow",
    "errors": "requests fail",
    "throughput": "the number of requests changed",
    "label_shift": "the rate of labels jumped",
    "missing_labels": "labels do not arrive",
    "missing_data": "rows are missing or late",
    "monitoring_failed": "models could not be judged",
}


class Cause(BaseModel):
    """What is probably at fault.

    Attributes:
        suspect: What it is.
        what: What happened there, in a few words.
        since: Since when.
        hit: Models that show it.
        spared: Models downstream that were judged since and do not show it.
        why: Why this is believed, with figures.
        figures: The same figures for programs: ``signs`` of ``could``, ``by_chance`` to be expected, what is
            assumed, and ``ratio``, the decimal logarithm of how much likelier it is than chance.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    suspect: Suspect
    what: str
    since: UtcTime
    hit: tuple[str, ...]
    spared: tuple[str, ...]
    why: str
    figures: dict[str, float] = {}

    @property
    def title(self) -> str:
        """What and where, in one line."""
        return f"{self.suspect.place}: {self.what}"


def cause_of(
    suspect: Suspect,
    alarms: Sequence[Alarm],
    lineage: Lineage,
    given: Assumptions,
    since: datetime | None = None,
) -> Cause:
    """Return the cause of an incident.

    Args:
        suspect: What is at fault.
        alarms: The first alarm of every stream of the incident.
        lineage: The fleet.
        given: What is assumed.
        since: Since when it is at fault, if that is known to be earlier.
    """
    signs = [alarm for alarm in alarms if suspect.shows_in(alarm, lineage, known=True)] or list(alarms)
    found = explain(suspect, signs, alarms, lineage, given)
    hit = tuple(sorted({alarm.model for alarm in alarms}))
    return Cause(
        suspect=suspect,
        what=_what(suspect, signs),
        since=found.since if since is None else min(since, found.since),
        hit=hit,
        spared=tuple(name for name in found.spared if name not in hit),
        why=_why(found, signs, len(alarms), given),
        figures=_figures(found, given),
    )


def named(models: Sequence[str]) -> str:
    """Return some models' names, the first few of them if they are many."""
    more = len(models) - _NAMED
    return ", ".join(models[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _what(suspect: Suspect, signs: Sequence[Alarm]) -> str:
    if suspect.kind == "broken_source":
        columns = len({alarm.subject for alarm in signs})
        return f"{columns} of its columns changed at once; most: {_change(signs)}"
    if suspect.kind == "column":
        return _change(signs)
    if suspect.kind == "model" and len(signs) == 1:
        return signs[0].says
    kinds = [kind for kind, _ in Counter(alarm.kind for alarm in signs).most_common(3)]
    if suspect.kind == "labels" and (shifted := [kind for kind in kinds if kind in _NOUNS]):
        kinds = shifted
    return "; ".join(_NOUNS.get(kind, f"{kind.replace('_', ' ')}") for kind in kinds)


def _change(signs: Sequence[Alarm]) -> str:
    """Return how most signs moved."""
    changes = [alarm.change for alarm in signs if alarm.change is not None]
    if not changes:
        return signs[0].says
    # What only faults make tells more than that a mean moved, which comes along with it.
    votes = Counter((change.is_a_fault, change.move) for change in changes)
    (_, move), _ = max(votes.items(), key=lambda vote: (vote[1] * (3 if vote[0][0] else 1), vote[0][1]))
    alike = [change for change in changes if change.move == move]
    if len(alike) == 1:
        return alike[0].words
    return _common(alike).words


def _common(changes: Sequence[Change]) -> Change:
    """Return what changes of one move have in common, with the median of their figures."""
    figures = {}
    for name in ("factor", "before", "now"):
        known = sorted(value for each in changes if (value := getattr(each, name)) is not None)
        figures[name] = known[len(known) // 2] if len(known) == len(changes) else None
    categories = Counter(each.category for each in changes)
    return Change(move=changes[0].move, category=categories.most_common(1)[0][0], **figures)


def _figures(found: Explanation, given: Assumptions) -> dict[str, float]:
    return {
        "signs": float(len(found.signs)),
        "could": float(found.could),
        "by_chance": found.could * given.false_alarm,
        "models_hit": float(len(found.hit)),
        "models_spared": float(len(found.spared)),
        "alike": float(found.alike),
        "ratio": found.ratio / math.log(10),
        "detection": found.detection,
        "false_alarm": given.false_alarm,
    }


def _why(found: Explanation, signs: Sequence[Alarm], alarms: int, given: Assumptions) -> str:
    suspect = found.suspect
    judged = len(found.hit) + len(found.spared)
    said: list[str] = []
    match suspect.kind:
        case "model":
            said.append(_why_the_model(found, signs))
        case "deployment":
            at = next((alarm.deployed_at for alarm in signs if alarm.deployed_at), None)
            when = f", deployed {at:%Y-%m-%d %H:%M}" if at else ""
            said.append(
                f"{_count(len(signs), 'alarm')} in the first {FIRST_WINDOWS} windows of version "
                f"{suspect.version}{when}, none of them of what it reads"
            )
        case _ if judged == 1:
            said.append(
                f"{found.hit[0]} is the only model downstream that was judged since, so nothing confirms it"
            )
        case _:
            expected = judged * given.false_alarm
            said.append(
                f"{len(found.hit)} of {judged} models downstream judged since show it, where chance would "
                f"make {expected:.2g}"
            )
    if found.alike > 1:
        said.append(f"{found.alike} of {len(signs)} moved in the same way")
    if (following := alarms - len(signs)) > 0:
        said.append(f"{_count(following, 'more alarm')} of these models may follow from it")
    ratio = found.ratio / math.log(10)
    if ratio > 0:
        said.append(
            f"that is 10^{ratio:.0f} times as probable with this fault as by chance (a fault shows in "
            f"{found.detection:.0%} of what it reaches, a false alarm in {given.false_alarm:.1%})"
        )
    return "; ".join(said)


def _why_the_model(found: Explanation, signs: Sequence[Alarm]) -> str:
    kinds = {alarm.kind for alarm in signs}
    if kinds & {"data_drift", "data_quality"}:
        return "no other model shows that its sources changed, so it is what this model is sent, or chance"
    if kinds & {"performance", "concept_drift", "estimated_performance"}:
        return "nothing it reads moved, and its version is not new: what it learnt may no longer hold"
    return "nothing that it shares with other models explains it"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
