"""What two policies demand differently: every value, where each writes it, and which one is stricter."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from mlops_assets.specs.approver import Approver
from mlops_assets.specs.part import Part
from mlops_assets.specs.policy import RISKS, Risk, Rules
from mlops_assets.specs.policy_file import Origin, Policy, leaves, value_at
from mlops_assets.specs.resolution import told
from mlops_assets.specs.strictness import loosenings
from mlops_assets.specs.yaml_positions import KeyPath

Direction = Literal["stricter", "looser", "other"]


@dataclass(frozen=True)
class Change:
    """A value that is another one in the new policy.

    Attributes:
        path: Where it is in the rules.
        risks: For which risks it changes in this way.
        old: The value so far, as it would be written; None if there was none.
        new: The value from now on; None if there is none.
        direction: Whether it demands more, less, or something else.
        old_origin: Where the value so far is written.
        new_origin: Where the new value is written.
    """

    path: tuple[str, ...]
    risks: tuple[Risk, ...]
    old: str | None
    new: str | None
    direction: Direction
    old_origin: Origin | None
    new_origin: Origin | None


def policy_changes(old: Policy, new: Policy) -> list[Change]:
    """Return what a new policy demands differently, in the order of the schema.

    A value that changes in the same way for several risks is one change.
    """
    risks: dict[Change, list[Risk]] = {}
    for risk in RISKS:
        for change in _changes(old, new, risk):
            risks.setdefault(change, []).append(risk)
    found = [Change(**{**vars(change), "risks": tuple(found)}) for change, found in risks.items()]
    return [
        *found,
        *_of_the_fleet("alerts", old.alerts, new.alerts),
        *_of_the_fleet("fleet", old.fleet, new.fleet),
    ]


def _of_the_fleet(part: str, old: Part, new: Part) -> Iterator[Change]:
    """Yield what changes of a part that is the same for all risks: who is told, and what all models share."""
    for path in leaves(new):
        was, will_be = value_at(old, path), value_at(new, path)
        if was != will_be:
            yield Change((part, *map(str, path)), RISKS, _said(was), _said(will_be), "other", None, None)


def _said(value: Any) -> str | None:
    """Return a value of such a part; a route by whom it is of and the variable it names."""
    if isinstance(value, tuple):
        return ", ".join(" ".join(map(str, each.model_dump().values())) for each in value) or None
    return None if value is None else _in_full(value)


def _changes(old: Policy, new: Policy, risk: Risk) -> Iterator[Change]:
    before, after = old.tiers[risk], new.tiers[risk]
    looser, stricter = _loosened(before, after), _loosened(after, before)
    was, will_be = _values(before), _values(after)
    for path in dict.fromkeys([*was, *will_be]):
        if was.get(path) == will_be.get(path):  # null demands as little as what is not there
            continue
        less, more = path in looser or path not in will_be, path in stricter or path not in was
        yield Change(
            path=tuple(map(str, path)),
            risks=(),
            old=_in_full(was[path]) if path in was else None,
            new=_in_full(will_be[path]) if path in will_be else None,
            direction="other" if less == more else "looser" if less else "stricter",
            old_origin=old.origins[risk].get(path),
            new_origin=new.origins[risk].get(path),
        )


def _loosened(demanded: Rules, given: Rules) -> set[KeyPath]:
    """Return where the second rules demand less than the first."""
    return {found.path for found in loosenings(demanded, given)}


def _values(rules: Rules) -> dict[KeyPath, Any]:
    """Return every value by its path; of what stands by key, only what is there."""
    values = {path: value_at(rules, path) for path in leaves(rules)}
    return {path: value for path, value in values.items() if value != {}}


def _in_full(value: Any) -> str:
    """Return a value as it would be written, with all its digits: two that differ must not look alike."""
    return repr(value) if isinstance(value, float) else told(value)


@dataclass(frozen=True)
class ApproverChange:
    """A person's key that the new policy adds, takes away, or says something else of."""

    name: str
    key: str
    change: Literal["added", "removed", "changed"]


def approver_changes(old: Policy, new: Policy) -> list[ApproverChange]:
    """Return which approvers a new policy lists differently; a key is what one is known by."""
    before, after = _by_key(old), _by_key(new)
    found = []
    for key in dict.fromkeys([*before, *after]):
        was, will_be = before.get(key), after.get(key)
        if was == will_be:
            continue
        if was is None or will_be is None:
            listed = was or will_be
            assert listed is not None
            found.append(ApproverChange(listed.name, key, "removed" if was else "added"))
        else:
            found.append(ApproverChange(will_be.name, key, "changed"))
    return found


def _by_key(policy: Policy) -> dict[str, Approver]:
    return {approver.fingerprint: approver for approver in policy.approvers}
