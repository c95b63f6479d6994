"""Find, read and judge all specs of a fleet: every file, every problem, each with its line."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_assets.errors import MlopsError, SpecError, did_you_mean
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy_file import Policy, load_policy, policy_problems
from mlops_assets.specs.problems import judge_document, shown_path
from mlops_assets.specs.references import is_reference, load_class, load_function
from mlops_assets.specs.resolution import conflicts
from mlops_assets.specs.yaml_positions import Document, KeyPath, Problem, read_document

COMPONENT_TYPE = "mlops_assets.ModelLifecycle"
_OUTER_KEYS = ("type", "attributes", "requirements", "post_processing", "template_vars_module")


@dataclass(frozen=True)
class LoadedSpec:
    """A valid spec, the file it was read from, and the line of its name."""

    spec: ModelSpec
    file: Path
    line: int = 1


@dataclass
class Fleet:
    """What was found below some paths."""

    specs: list[LoadedSpec] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def require(self) -> "Fleet":
        """Return self if nothing is wrong.

        Raises:
            SpecError: Lists every problem, one a line.
        """
        if self.problems:
            raise SpecError("\n".join(map(str, self.problems)))
        return self


def load_fleet(
    paths: Iterable[Path], policy_folder: Path | None = None, *, import_code: bool = False
) -> Fleet:
    """Read all model specs below ``paths``, and hold them against the policy.

    Args:
        paths: Files, or folders that are searched for ``defs.yaml``.
        policy_folder: The defs folder in which the project's policy may be; if None, the platform's own
            policy holds.
        import_code: Also import the functions and estimators the specs name.

    Returns:
        The valid specs and all problems, sorted by file and line.
    """
    fleet = Fleet()
    fleet.problems += policy_problems(policy_folder) if policy_folder else []
    policy = None if fleet.problems else load_policy(policy_folder)
    for file in sorted(_spec_files(paths, fleet.problems)):
        _load_file(file, fleet, policy, import_code)
    _report_duplicates(fleet)
    fleet.problems.sort(key=lambda p: (str(p.file), p.line))
    return fleet


def policy_conflicts(loaded: LoadedSpec, policy: Policy) -> list[Problem]:
    """Return where a spec asks for less than a policy, which need not be that of its project."""
    document = read_document(loaded.file, loaded.file)
    return (
        [document] if isinstance(document, Problem) else list(_against_policy(document, loaded.spec, policy))
    )


def _spec_files(paths: Iterable[Path], problems: list[Problem]) -> set[Path]:
    files: set[Path] = set()
    for path in paths:
        if path.is_dir():
            files.update(path.rglob("defs.yaml"), path.rglob("defs.yml"))
        elif path.is_file():
            files.add(path)
        else:
            problems.append(Problem(path, 1, "does not exist"))
    return files


def _load_file(file: Path, fleet: Fleet, policy: Policy | None, import_code: bool) -> None:
    shown = shown_path(file)
    document = read_document(file, shown)
    if isinstance(document, Problem):
        fleet.problems.append(document)
        return
    if not isinstance(document.value, dict):
        fleet.problems.append(Problem(shown, 1, "must be a mapping with type and attributes"))
        return
    kind = document.value.get("type")
    if kind != COMPONENT_TYPE:
        # Another component's file is none of our business, a misspelt one of ours is.
        if kind is None or did_you_mean(str(kind), [COMPONENT_TYPE]):
            fleet.problems.append(
                Problem(shown, document.line(("type",)), f"type must be {COMPONENT_TYPE}, not {kind!r}")
            )
        return
    problems, spec = _judge(document)
    problems.extend(_reference_problems(document, file.parent, import_code))
    if spec is not None and policy is not None:
        problems.extend(_against_policy(document, spec, policy))
    if spec is not None and not problems:
        fleet.specs.append(LoadedSpec(spec, shown, document.line(("attributes", "name"))))
    fleet.problems.extend(problems)


def _judge(document: Document) -> tuple[list[Problem], ModelSpec | None]:
    unknown = [
        Problem(
            document.file, document.line((key,)), f"unknown key {key!r}{did_you_mean(str(key), _OUTER_KEYS)}"
        )
        for key in document.value
        if key not in _OUTER_KEYS
    ]
    problems, spec = judge_document(document, ("attributes",), ModelSpec)
    return [*problems, *unknown], spec


def _against_policy(document: Document, spec: ModelSpec, policy: Policy) -> Iterable[Problem]:
    """Yield where a spec asks for less than the policy, naming both lines."""
    for conflict in conflicts(spec, policy):
        line = document.line(("attributes", *conflict.path))
        written = policy.origins[spec.risk][conflict.policy_path]
        yield Problem(document.file, line, f"{conflict.message} ({written})")


def _reference_problems(document: Document, folder: Path, import_code: bool) -> Iterable[Problem]:
    """Yield what is wrong with the files and the code a spec names, be the spec itself right or not."""

    def wrong(path: KeyPath, reason: str) -> Problem:
        line = document.line(("attributes", *path))
        return Problem(document.file, line, f"{'.'.join(map(str, path))}: {reason}")

    path: KeyPath
    for path in (("data", "source", "path"), ("data", "contract", "suite"), ("training", "model_file")):
        if (file := _given(document, path)) and not (folder / file).exists():
            yield wrong(path, f"{file} does not exist")
    if not import_code:
        return
    for path in (
        ("data", "source", "function"),
        ("data", "feature_function"),
        ("training", "function"),
        *(
            ("monitoring", "kpis", place, "function")
            for place in range(_length(document, "monitoring", "kpis"))
        ),
    ):
        reference = _given(document, path)
        if reference and is_reference(reference) and (reason := _failure(load_function, reference)):
            yield wrong(path, reason)
    path = ("training", "estimator")
    if (estimator := _given(document, path)) and (reason := _failure(load_class, estimator)):
        yield wrong(path, reason)


def _given(document: Document, path: KeyPath) -> str | None:
    """Return the text a file gives at a path below its attributes, if there is any."""
    value = _value(document, path)
    return value if isinstance(value, str) else None


def _length(document: Document, *path: str) -> int:
    """Return how many parts a list has that a file gives at a path below its attributes; 0 if it is none."""
    value = _value(document, path)
    return len(value) if isinstance(value, list) else 0


def _value(document: Document, path: KeyPath) -> Any:
    value = document.value.get("attributes")
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _failure(load: Any, reference: str) -> str | None:
    try:
        load(reference)
    except MlopsError as error:
        return str(error)
    return None


def _report_duplicates(fleet: Fleet) -> None:
    first: dict[str, Path] = {}
    for loaded in fleet.specs:
        name = loaded.spec.name
        if name in first:
            fleet.problems.append(
                Problem(loaded.file, loaded.line, f"model {name!r} is already defined in {first[name]}")
            )
        first.setdefault(name, loaded.file)
