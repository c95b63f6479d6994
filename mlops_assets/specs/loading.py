"""Find, read and judge all specs of a fleet: every file, every problem, each with its line."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from mlops_assets.errors import MlopsError, SpecError, did_you_mean
from mlops_assets.specs.model_spec import ContradictionError, ModelSpec
from mlops_assets.specs.references import is_reference, load_class, load_function
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
    if spec is not None and not problems:
        fleet.specs.append(LoadedSpec(spec, shown, document.line(("attributes", "name"))))
    fleet.problems.extend(problems)


def _judge(document: Document) -> tuple[list[Problem], ModelSpec | None]:
    problems = [
        *document.problems,
        *(
            Problem(
                document.file,
                document.line((key,)),
                f"unknown key {key!r}{did_you_mean(str(key), _OUTER_KEYS)}",
            )
            for key in document.value
            if key not in _OUTER_KEYS
        ),
    ]
    attributes = document.value.get("attributes")
    try:
        return problems, ModelSpec.model_validate(attributes if attributes is not None else {})
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            problems.extend(_explain(detail, document))
        return problems, None


def _explain(detail: Any, document: Document) -> Iterable[Problem]:
    """Turn one pydantic error into a sentence at its line, or into several at theirs."""
    path = _real_path(detail["loc"], document)
    if isinstance(error := detail.get("ctx", {}).get("error"), ContradictionError):
        for where, message in error.problems:
            whole = (*path, *where)
            named = ".".join(map(str, whole[1:]))
            yield Problem(document.file, document.line(whole), f"{named}: {message}")
        return
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
        case "model_type" | "model_attributes_type" | "dict_type":
            message = f"{dotted}: must be a mapping of keys to values, not {detail['input']!r}"
        case _:
            message = f"{dotted}: {detail['msg']}, not {detail['input']!r}"
    yield Problem(document.file, line, message)


_SOURCES = ("python", "csv", "parquet", "sql")


def _real_path(location: tuple[str | int, ...], document: Document) -> KeyPath:
    """Drop what pydantic puts into a location but the file does not have: union tags, marks of keys."""
    path: list[str | int] = ["attributes"]
    value = document.value.get("attributes")
    for step in location:
        if step == "[key]" or (path[-1] == "source" and step in _SOURCES):
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


def _reference_problems(document: Document, folder: Path, import_code: bool) -> Iterable[Problem]:
    """Yield what is wrong with the files and the code a spec names, be the spec itself right or not."""

    def wrong(path: KeyPath, reason: str) -> Problem:
        line = document.line(("attributes", *path))
        return Problem(document.file, line, f"{'.'.join(map(str, path))}: {reason}")

    path: KeyPath
    for path in (("data", "source", "path"), ("data", "contract", "suite")):
        if (file := _given(document, path)) and not (folder / file).exists():
            yield wrong(path, f"{file} does not exist")
    if not import_code:
        return
    for path in (("data", "source", "function"), ("data", "feature_function"), ("training", "function")):
        reference = _given(document, path)
        if reference and is_reference(reference) and (reason := _failure(load_function, reference)):
            yield wrong(path, reason)
    path = ("training", "estimator")
    if (estimator := _given(document, path)) and (reason := _failure(load_class, estimator)):
        yield wrong(path, reason)


def _given(document: Document, path: KeyPath) -> str | None:
    """Return the text a file gives at a path below its attributes, if there is any."""
    value = document.value.get("attributes")
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None


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
