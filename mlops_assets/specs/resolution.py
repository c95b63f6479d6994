"""What holds for one model: the policy of its risk, tightened by its own spec and never loosened."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import SpecError
from mlops_assets.specs.durations import format_duration
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import PartialRules, Rules
from mlops_assets.specs.policy_file import Origin, Policy, leaves, value_at
from mlops_assets.specs.strictness import loosenings, tightened
from mlops_assets.specs.yaml_positions import KeyPath, Problem, read_document

if TYPE_CHECKING:
    from mlops_assets.specs.loading import LoadedSpec

_OWN = ("gates", "approvals", "rollout", "evidence", "retention")
# What a spec may also say where it says how a candidate is judged.
_ALIASES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("evaluation", "confidence"): ("gates", "champion_comparison", "confidence"),
    ("evaluation", "min_gain"): ("gates", "champion_comparison", "min_gain"),
}
_WINDOWS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=31),
}


@dataclass(frozen=True)
class Conflict:
    """A place where a spec asks for less than the policy.

    Attributes:
        path: Where in the spec.
        policy_path: Where in the policy's rules.
        message: What is wrong, without either's line.
    """

    path: KeyPath
    policy_path: KeyPath
    message: str


def effective_rules(spec: ModelSpec, policy: Policy) -> Rules:
    """Return all that is demanded of a model.

    Raises:
        SpecError: The spec asks for less than the policy.
    """
    found = [
        f"{spec.name}: {c.message} ({policy.origins[spec.risk][c.policy_path]})"
        for c in conflicts(spec, policy)
    ]
    if found:
        raise SpecError("\n".join(found))
    return _tightened(spec, policy.tiers[spec.risk])


def conflicts(spec: ModelSpec, policy: Policy) -> Iterator[Conflict]:
    """Yield where a spec asks for less than the policy of its risk."""
    demanded = policy.tiers[spec.risk]
    for part in _own_parts(spec):
        for found in loosenings(demanded, part):
            where = _in_spec(found.path)
            message = (
                f"{'.'.join(where)}: {told(found.given)} is looser than the policy's {told(found.demanded)}"
            )
            yield Conflict(where, found.path, message)
    yield from _bounds(spec, demanded)


def _in_spec(path: tuple[str, ...]) -> tuple[str, ...]:
    """Return where a spec says what ends up at a path of the rules."""
    if path[:3] == ("gates", "metric_thresholds", "thresholds"):
        return ("evaluation", "thresholds", *path[3:])
    return {there: place for place, there in _ALIASES.items()}.get(path, path)


def _bounds(spec: ModelSpec, demanded: Rules) -> Iterator[Conflict]:
    """Yield what of the spec's own settings lies outside the policy's bounds."""
    if _WINDOWS[spec.monitoring.window] > demanded.monitoring.window:
        yield Conflict(
            ("monitoring", "window"),
            ("monitoring", "window"),
            f"monitoring.window: {spec.monitoring.window!r} is longer than the policy's "
            f"{format_duration(demanded.monitoring.window)}",
        )
    if spec.monitoring.tolerance > demanded.monitoring.max_tolerance:
        yield Conflict(
            ("monitoring", "tolerance"),
            ("monitoring", "max_tolerance"),
            f"monitoring.tolerance: {spec.monitoring.tolerance:g} is more than the policy's "
            f"{demanded.monitoring.max_tolerance:g}",
        )
    if spec.retraining.cooldown < demanded.retraining.min_cooldown:
        yield Conflict(
            ("retraining", "cooldown"),
            ("retraining", "min_cooldown"),
            f"retraining.cooldown: {format_duration(spec.retraining.cooldown)} is shorter than the policy's "
            f"{format_duration(demanded.retraining.min_cooldown)}",
        )
    if not demanded.sensitive_features:
        for index, column in enumerate(spec.data.features):
            if column.sensitive:
                yield Conflict(
                    ("data", "features", index),
                    ("sensitive_features",),
                    f"data.features.{index}: {column.name!r} is sensitive, which the policy does not allow "
                    f"for {spec.risk} risk; declare a higher risk or leave the column out",
                )


@dataclass(frozen=True)
class Demand:
    """One value that is demanded of a model.

    Attributes:
        path: Where it is in the rules.
        told: The value, as it would be written.
        origin: Where it was written: in the spec, in the project's policy, or in the platform's.
    """

    path: tuple[str, ...]
    told: str
    origin: Origin


def explained(loaded: "LoadedSpec", policy: Policy) -> list[Demand]:
    """Return every value that is demanded of a model, and where it was written.

    Raises:
        SpecError: The spec asks for less than the policy, or cannot be read again.
    """
    spec = loaded.spec
    rules = effective_rules(spec, policy)
    own = _origins_in_spec(loaded)
    found = []
    for path in leaves(rules):
        origin = own.get(path) or policy.origins[spec.risk].get(path)
        if origin is None:  # the other side of a threshold that has one
            continue
        found.append(Demand(tuple(map(str, path)), told(value_at(rules, path)), origin))
    return found


def _origins_in_spec(loaded: "LoadedSpec") -> dict[KeyPath, Origin]:
    """Return where a spec wrote down what it asks for itself, by the path in the rules."""
    document = read_document(loaded.file, loaded.file)
    if isinstance(document, Problem):
        raise SpecError(str(document))
    found: dict[KeyPath, Origin] = {}
    for whole, line in document.lines.items():
        path, origin = whole[1:], Origin(loaded.file, line)
        if path[:1] and path[0] in _OWN:
            found[path] = origin
        elif path[:2] == ("evaluation", "thresholds"):
            found["gates", "metric_thresholds", "thresholds", *path[2:]] = origin
        elif alias := _ALIASES.get(tuple(map(str, path))):
            found[alias] = origin
    return found


def _tightened(spec: ModelSpec, demanded: Rules) -> Rules:
    rules = demanded
    for part in _own_parts(spec):
        rules = tightened(rules, part)
    return rules


def _own_parts(spec: ModelSpec) -> Iterator[PartialRules]:
    """Yield what a spec asks for itself, as parts of the rules."""
    parts = {name: getattr(spec, name) for name in _OWN}
    yield PartialRules.model_construct(**{name: part for name, part in parts.items() if part is not None})
    said = spec.evaluation.model_fields_set
    comparison = {path[-1]: getattr(spec.evaluation, path[-1]) for path in _ALIASES if path[-1] in said}
    if comparison:
        yield _gates(champion_comparison=comparison)
    if spec.evaluation.thresholds:
        yield _gates(metric_thresholds={"thresholds": spec.evaluation.thresholds})


def _gates(**gates: Any) -> PartialRules:
    return PartialRules.model_validate({"gates": gates})


def told(value: Any) -> str:
    """Return a value of the rules as it would be written."""
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, tuple | dict):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
