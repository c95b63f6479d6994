"""What a schema finds wrong with a document, in sentences that name the line and the nearest right key."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mlops_assets.errors import did_you_mean
from mlops_assets.specs.part import ContradictionError
from mlops_assets.specs.yaml_positions import Document, KeyPath, Problem

_T = TypeVar("_T", bound=BaseModel)
_SOURCES = ("python", "csv", "parquet", "sql")


def shown_path(file: Path) -> Path:
    """Return a file's path as problems name it: from the working folder."""
    return Path(os.path.relpath(file)) if file.is_absolute() else file


def judge_document(document: Document, root: KeyPath, kind: type[_T]) -> tuple[list[Problem], _T | None]:
    """Hold what a document has at ``root`` against a schema.

    Returns:
        All problems, keys that stand twice among them, and the value if it fits the schema.
    """
    problems = list(document.problems)
    value = _at(document, root)
    try:
        return problems, kind.model_validate(value if value is not None else {})
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            problems.extend(_explain(detail, document, root, kind))
        return problems, None


def _at(document: Document, path: KeyPath) -> Any:
    value = document.value
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _explain(detail: Any, document: Document, root: KeyPath, kind: type[BaseModel]) -> Iterable[Problem]:
    """Turn one pydantic error into a sentence at its line, or into several at theirs."""
    path = _real_path(detail["loc"], document, root)
    if isinstance(error := detail.get("ctx", {}).get("error"), ContradictionError):
        for where, message in error.problems:
            whole = (*path, *where)
            named = ".".join(map(str, whole[len(root) :]))
            yield Problem(document.file, document.line(whole), f"{named}: {message}")
        return
    dotted = ".".join(str(p) for p in path[len(root) :]) or ".".join(map(str, root)) or "the file"
    line = document.line(path)
    match detail["type"]:
        case "missing":
            message = f"{dotted} is required"
        case "extra_forbidden":
            known = _known_keys(detail["loc"][:-1], kind)
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


def _real_path(location: tuple[str | int, ...], document: Document, root: KeyPath) -> KeyPath:
    """Drop what pydantic puts into a location but the file does not have: union tags, marks of keys."""
    path: list[str | int] = list(root)
    value = _at(document, root)
    for step in location:
        if step == "[key]" or (path and path[-1] == "source" and step in _SOURCES):
            continue
        path.append(step)
        try:
            value = value[step] if value is not None else None
        except (KeyError, IndexError, TypeError):
            value = None
    return tuple(path)


def _known_keys(location: tuple[str | int, ...], kind: type[BaseModel]) -> list[str]:
    """Return the keys a document may have at ``location``."""
    kinds: list[type[BaseModel]] = [kind]
    for step in location:
        kinds = [
            nested
            for each in kinds
            for name, declared in each.model_fields.items()
            for nested in _models_in(declared.annotation)
            if name == step
        ] or kinds
    return [name for each in kinds for name in each.model_fields]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for inner in getattr(annotation, "__args__", ()) for m in _models_in(inner)]
