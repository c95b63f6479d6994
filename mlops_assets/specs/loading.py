"""Find, read and judge all specs of a fleet: every file, every problem, each with its line."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from mlops_assets.errors import MlopsError, SpecError, did_you_mean
from mlops_assets.specs.model_spec import CsvSource, ModelSpec, ParquetSource
from mlops_assets.specs.references import load_class, load_function
from mlops_assets.specs.yaml_positions import Document, KeyPath, Problem, read_document

COMPONENT_TYPE = "mlops_assets.ModelLifecycle"
_OUTER_KEYS = ("type", "attributes", "requirements", "post_processing", "template_vars_module")


@dataclass(frozen=True)
class LoadedSpec:
    """A valid spec and the file it was read from."""

    spec: ModelSpec
    file: Path


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


def load_fleet(paths: Iterable[Path], *, import_code: bool = False) -> Fleet:
    """Read all model specs below ``paths``.

    Args:
        paths: Files, or folders that are searched for ``defs.yaml``.
        import_code: Also import the functions and estimators the specs name.

    Returns:
        The valid specs and all problems, sorted by file and line.
    """
    fleet = Fleet()
    for file in sorted(_spec_files(paths, fleet.problems)):
        _load_file(file, fleet, import_code)
    _report_duplicates(fleet)
    fleet.problems.sort(key=lambda p: (str(p.file), p.line))
    return fleet


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


def _load_file(file: Path, fleet: Fleet, import_code: bool) -> None:
    shown = Path(os.path.relpath(file)) if file.is_absolute() else file
    document = read_document(file)
    if isinstance(document, Problem):
        fleet.problems.append(Problem(shown, document.line, document.message))
        return
    document = Document(shown, document.value, document.lines)
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
    if spec is not None and not problems:
        problems = list(_reference_problems(spec, document, file.parent, import_code))
        if not problems:
            fleet.specs.append(LoadedSpec(spec, shown))
    fleet.problems.extend(problems)


def _judge(document: Document) -> tuple[list[Problem], ModelSpec | None]:
    problems = [
        Problem(
            document.file,
            document.line((key,)),
            f"unknown key {key!r}{did_you_mean(str(key), _OUTER_KEYS)}",
        )
        for key in document.value
        if key not in _OUTER_KEYS
    ]
    attributes = document.value.get("attributes")
    try:
        return problems, ModelSpec.model_validate(attributes if attributes is not None else {})
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            problems.append(_explain(detail, document))
        return problems, None


def _explain(detail: Any, document: Document) -> Problem:
    """Turn one pydantic error into a sentence at its line."""
    path = _real_path(detail["loc"], document)
    dotted = ".".join(str(p) for p in path[1:]) or "attributes"
    line = document.line(path)
    match detail["type"]:
        case "missing":
            message = f"{dotted} is required"
        case "extra_forbidden":
            known = _known_keys(detail["loc"][:-1])
            message = f"unknown key {dotted!r}{did_you_mean(str(path[-1]), known)}"
        case "value_error":
            message = f"{dotted}: {detail['ctx']['error']}"
        case "union_tag_invalid":
            tag = str(detail["ctx"]["tag"])
            message = (
                f"{dotted}.type: unknown {tag!r}{did_you_mean(tag, _SOURCES)}; known: {', '.join(_SOURCES)}"
            )
        case "union_tag_not_found":
            message = f"{dotted}.type is required: one of {', '.join(_SOURCES)}"
        case "literal_error":
            given = str(detail["input"])
            allowed = [a.strip("' ") for a in detail["ctx"]["expected"].replace(" or ", ",").split(",")]
            message = f"{dotted}: {given!r} is not one of {', '.join(allowed)}{did_you_mean(given, allowed)}"
        case _:
            message = f"{dotted}: {detail['msg']}, not {detail['input']!r}"
    return Problem(document.file, line, message)


_SOURCES = ("python", "csv", "parquet", "sql")


def _real_path(location: tuple[str | int, ...], document: Document) -> KeyPath:
    """Drop the union tags that pydantic puts into a location but the file does not have."""
    path: list[str | int] = ["attributes"]
    value = document.value.get("attributes")
    last = len(location) - 1
    for index, step in enumerate(location):
        inside = (isinstance(value, dict) and step in value) or isinstance(step, int)
        if not inside and step in _SOURCES and index != last:
            continue
        path.append(step)
        try:
            value = value[step] if value is not None else None
        except (KeyError, IndexError, TypeError):
            value = None
    return tuple(path)


def _known_keys(location: tuple[str | int, ...]) -> list[str]:
    """Return the keys a spec may have at ``location``."""
    kinds: list[type[BaseModel]] = [ModelSpec]
    for step in location:
        kinds = [
            nested
            for kind in kinds
            for name, declared in kind.model_fields.items()
            for nested in _models_in(declared.annotation)
            if name == step
        ] or kinds
    return [name for kind in kinds for name in kind.model_fields]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for inner in getattr(annotation, "__args__", ()) for m in _models_in(inner)]


def _reference_problems(
    spec: ModelSpec, document: Document, folder: Path, import_code: bool
) -> Iterable[Problem]:
    source = spec.data.source
    if isinstance(source, CsvSource | ParquetSource) and not (folder / source.path).exists():
        at = ("attributes", "data", "source", "path")
        yield Problem(document.file, document.line(at), f"data.source.path: {source.path} does not exist")
    suite = spec.data.contract.suite
    if suite is not None and not (folder / suite).is_file():
        at = ("attributes", "data", "contract", "suite")
        yield Problem(document.file, document.line(at), f"data.contract.suite: {suite} does not exist")
    if not import_code:
        return
    functions = {
        ("data", "source", "function"): getattr(source, "function", None),
        ("data", "feature_function"): spec.data.feature_function,
        ("training", "function"): spec.training.function,
    }
    for where, reference in functions.items():
        if reference is not None and (reason := _failure(load_function, reference)):
            line = document.line(("attributes", *where))
            yield Problem(document.file, line, f"{'.'.join(where)}: {reason}")
    if spec.training.estimator and (reason := _failure(load_class, spec.training.estimator)):
        line = document.line(("attributes", "training", "estimator"))
        yield Problem(document.file, line, f"training.estimator: {reason}")


def _failure(load: Any, reference: str) -> str | None:
    try:
        load(reference)
    except MlopsError as error:
        return str(error)
    except Exception as error:  # a team's module may fail in any way when imported
        return f"{reference} fails on import: {type(error).__name__}: {error}"
    return None


def _report_duplicates(fleet: Fleet) -> None:
    first: dict[str, Path] = {}
    for loaded in fleet.specs:
        name = loaded.spec.name
        if name in first:
            fleet.problems.append(
                Problem(loaded.file, 1, f"model {name!r} is already defined in {first[name]}")
            )
        first.setdefault(name, loaded.file)
