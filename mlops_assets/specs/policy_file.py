"""Find and read the policy: the platform's own, and over it what a project writes down in its place."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from mlops_assets.errors import SpecError
from mlops_assets.specs.alert_rules import Alerts
from mlops_assets.specs.approver import Approver
from mlops_assets.specs.part import Part
from mlops_assets.specs.policy import RISKS, FleetRules, PolicyFile, Risk, Rules
from mlops_assets.specs.problems import judge_document, shown_path
from mlops_assets.specs.project_folder import ProjectFolder
from mlops_assets.specs.yaml_positions import Document, KeyPath, Problem, read_document

POLICY_FILE = "policy.yaml"
DEFAULT_POLICY = Path(__file__).parent.parent / "defs" / POLICY_FILE


@dataclass(frozen=True)
class Origin:
    """Where a value was written down."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Policy:
    """What holds for each risk, and where it says so.

    Attributes:
        file: The project's own policy, or the platform's; absolute.
        tiers: What is demanded, by risk.
        approvers: Who may approve a release.
        origins: Where each value was written, by risk and path.
        alerts: Who is told of incidents, and how often.
        fleet: What all models share.
    """

    file: Path
    tiers: Mapping[Risk, Rules]
    approvers: tuple[Approver, ...]
    origins: Mapping[Risk, Mapping[KeyPath, Origin]]
    alerts: Alerts
    fleet: FleetRules = field(default_factory=FleetRules)


def load_policy(folder: Path | None = None) -> Policy:
    """Return the policy of a defs folder: its ``policy.yaml`` over the platform's own.

    Args:
        folder: The defs folder of a project; the platform's own policy if None.

    Raises:
        SpecError: The file is wrong; the message names every problem with its line.
    """
    own = folder / POLICY_FILE if folder is not None else DEFAULT_POLICY
    return policy_of(own if own.exists() else DEFAULT_POLICY)


def current_policy() -> Policy:
    """Return the policy that ``MLOPS_POLICY`` names, else that of the project around the working folder.

    Raises:
        SpecError: It cannot be read, or is wrong.
    """
    if file := os.environ.get("MLOPS_POLICY"):
        return policy_of(Path(file))
    return load_policy(ProjectFolder.around().folder)


def policy_of(file: Path) -> Policy:
    """Return the policy that a file makes of the platform's own; see :func:`load_policy`."""
    try:
        stamp = file.stat()
    except OSError as error:
        raise SpecError(f"{shown_path(file)}: cannot be read: {error.strerror}") from error
    return _read(file.resolve(), stamp.st_mtime_ns, stamp.st_size)


def policy_problems(folder: Path) -> list[Problem]:
    """Return what is wrong with the policy of a defs folder."""
    file = folder / POLICY_FILE
    return _layers(file)[2] if file.exists() else []


def policy_warnings(folder: Path) -> list[Problem]:
    """Return what the policy of a defs folder names and this machine does not have; another one may."""
    file = folder / POLICY_FILE
    if not file.exists() or _layers(file)[2]:
        return []
    document = read_document(file, shown_path(file))
    assert isinstance(document, Document)
    return [
        Problem(
            document.file,
            document.line(("alerts", *path)),
            f"the environment variable {name} is not set here",
        )
        for path, name in policy_of(file).alerts.variables
        if not os.environ.get(name)
    ]


@dataclass(frozen=True)
class _Layer:
    document: Document
    path: KeyPath
    rules: BaseModel


@lru_cache(maxsize=8)
def _read(file: Path, changed: int, size: int) -> Policy:
    """Read a policy once for as long as its file stays as it is: every model of a fleet asks for it."""
    layers: dict[Risk, list[_Layer]] = {risk: [] for risk in RISKS}
    approvers: tuple[Approver, ...] = ()
    alerts: dict[str, Any] = {}
    fleet: dict[str, Any] = {}
    for each in dict.fromkeys((DEFAULT_POLICY.resolve(), file)):
        found, written, problems = _layers(each)
        if problems or written is None:
            raise SpecError("\n".join(map(str, problems)))
        for risk in RISKS:
            layers[risk] += found[risk]
        approvers = written.approvers or approvers
        _overlay(alerts, written.alerts.model_dump(exclude_unset=True))
        _overlay(fleet, written.fleet.model_dump(exclude_unset=True))
    tiers = {risk: _merged(layers[risk]) for risk in RISKS}
    origins = {
        risk: MappingProxyType({path: _origin(layers[risk], path) for path in leaves(tiers[risk])})
        for risk in RISKS
    }
    return Policy(
        file,
        MappingProxyType(tiers),
        approvers,
        MappingProxyType(origins),
        Alerts.model_validate(alerts),
        FleetRules.model_validate(fleet),
    )


def _layers(file: Path) -> tuple[dict[Risk, list[_Layer]], PolicyFile | None, list[Problem]]:
    document = read_document(file, shown_path(file))
    if isinstance(document, Problem):
        return {}, None, [document]
    problems, written = judge_document(document, (), PolicyFile)
    if problems or written is None:
        return {}, None, problems
    layers = {
        risk: [
            _Layer(document, ("all",), written.all),
            _Layer(document, ("tiers", risk), getattr(written.tiers, risk)),
        ]
        for risk in RISKS
    }
    return layers, written, []


def _merged(layers: list[_Layer]) -> Rules:
    value: dict[str, Any] = {}
    for layer in layers:
        _overlay(value, layer.rules.model_dump(exclude_unset=True))
    return Rules.model_validate(value)


def _overlay(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _overlay(below[key], value)
        else:
            below[key] = value


def leaves(part: Part, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of every value in a part of the policy, in the order of the schema."""
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, Part):
            yield from leaves(value, (*path, name))
        elif isinstance(value, dict) and value:
            for key, nested in value.items():
                yield from leaves(nested, (*path, name, key))
        else:
            yield (*path, name)


def value_at(part: Part, path: KeyPath) -> Any:
    """Return the value at a path that :func:`leaves` yields."""
    value: Any = part
    for step in path:
        value = value[step] if isinstance(value, dict) else getattr(value, str(step))
    return value


def _origin(layers: list[_Layer], path: KeyPath) -> Origin:
    for layer in reversed(layers):
        whole = (*layer.path, *path)
        if whole in layer.document.lines:
            return Origin(layer.document.file, layer.document.lines[whole])
    first = layers[0].document
    return Origin(first.file, first.line((*layers[0].path, *path)))
