"""YAML with the line of every value, because an error without a line costs an hour."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """Something wrong in a file, at a line counted from 1."""

    file: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Document:
    """A parsed YAML document and the line of each of its keys and items.

    Attributes:
        file: Where it was read.
        value: What it holds.
        lines: The line of each key and item, by the path to it.
        problems: Keys that stand twice, of which YAML itself would silently take the last.
    """

    file: Path
    value: Any
    lines: dict[KeyPath, int]
    problems: tuple[Problem, ...] = ()

    def line(self, path: KeyPath) -> int:
        """Return the line of ``path``, or of its nearest ancestor that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_document(file: Path, shown: Path) -> Document | Problem:
    """Return the one YAML document in ``file``, or what is wrong with it.

    Args:
        file: The file to read.
        shown: The path that problems name.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return Problem(shown, 1, f"cannot be read: {error}")
    try:
        return _parse(text, shown)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(filter(None, (error.context, error.problem)))
        return Problem(shown, mark.line + 1 if mark else 1, f"is not valid YAML: {reason}")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return Problem(shown, line, f"is not valid YAML: character {error.character!r} is not allowed")
    except RecursionError:
        return Problem(shown, 1, "is not valid YAML: it is nested too deeply")


class _Loader(yaml.SafeLoader):
    """The safe loader, with a line also for a value that looks like a date and is none."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error


def _parse(text: str, shown: Path) -> Document | Problem:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Problem(shown, 1, "is empty")
        lines: dict[KeyPath, int] = {}
        problems = tuple(
            Problem(shown, key.start_mark.line + 1, f"key {key.value!r} stands twice")
            for key in _collect_lines(node, (), lines, set())
        )
        return Document(shown, loader.construct_document(node), lines, problems)
    finally:
        loader.dispose()


def _collect_lines(
    node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], visited: set[int]
) -> Iterator[yaml.ScalarNode]:
    """Record the lines below ``node`` and yield the keys that stand twice in a mapping."""
    lines.setdefault(path, node.start_mark.line + 1)
    if id(node) in visited:  # an alias, which may even point to what it stands in
        return
    visited.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key
                seen.add(key.value)
                lines[(*path, key.value)] = key.start_mark.line + 1
                yield from _collect_lines(value, (*path, key.value), lines, visited)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _collect_lines(value, (*path, index), lines, visited)
