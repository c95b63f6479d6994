"""What happened to a model, newest first: releases, rollouts, drills, decisions to retrain, and incidents."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.serving.fleet_page.platform_records import KnownModel

if TYPE_CHECKING:
    from mlops_assets.governance.audit_entry import Entry

_MOST = 100
# Not worth a line: who was told, and that one more column shows the same.
_UNSAID = ("told", "not_told", "joined")
_COMPARED = "compare"  # that a candidate was held against a window, of which there are many
_ACTIONS = {
    "register": "version {version} was registered",
    "promote": "version {version} was promoted to champion",
    "rollback": "rolled back to version {version}",
    "rollout": "rollout of version {version}: {step}",
    "refuse": "version {version} was refused",
    "approve": "version {version} was approved",
    "reject": "version {version} was rejected",
}


@dataclass(frozen=True)
class Happening:
    """One thing that happened.

    Attributes:
        at: When, ISO 8601, UTC.
        what: What, in a few words.
        actor: Who did it; empty if nobody in person.
        reason: Why; may be empty.
        bad: Whether somebody should look at it.
    """

    at: str
    what: str
    actor: str = ""
    reason: str = ""
    bad: bool = False


def timeline(known: KnownModel) -> list[Happening]:
    """Return what happened to a model, newest first; the newest hundred."""
    found = [*_entered(known), *_decided(known), *_of_incidents(known)]
    return sorted(found, key=lambda each: each.at, reverse=True)[:_MOST]


def _entered(known: KnownModel) -> Iterator[Happening]:
    for entry in known.entries:
        if entry.action != _COMPARED:
            bad = entry.action == "refuse" or (entry.action == "drill" and not _passed(entry))
            yield Happening(entry.at[:19], in_words(entry), entry.actor, entry.reason, bad)


def in_words(entry: "Entry") -> str:
    """Return what an audit entry says was done."""
    if entry.action == "drill":
        return f"drill of the way back to version {entry.detail.get('previous')} {_outcome(entry)}"
    words = _ACTIONS.get(entry.action)
    if words is None:
        return entry.action.replace("_", " ")
    return words.format(version=entry.detail.get("version") or "?", step=entry.detail.get("step") or "?")


def _passed(entry: "Entry") -> bool:
    return entry.detail.get("passed") is True


def _outcome(entry: "Entry") -> str:
    return "passed" if _passed(entry) else "failed"


def _decided(known: KnownModel) -> Iterator[Happening]:
    for decision in known.decisions:
        at = decision.as_of.isoformat()[:19]
        if decision.retrain:
            yield Happening(at, "retraining was started", "retraining", decision.reason)
        elif decision.trigger is not None:  # nothing called for it otherwise, which is no news
            yield Happening(at, "retraining was not started", "retraining", decision.reason)


def _of_incidents(known: KnownModel) -> Iterator[Happening]:
    for incident, events in known.incidents:
        for event in events:
            if event.what not in _UNSAID:
                what = f"incident {incident.id} {event.what}"
                bad = event.what in ("opened", "reopened", "worse", "escalated")
                yield Happening(event.at.isoformat()[:19], what, event.actor, event.text, bad)
