"""YAML with the line of every value, because an error without a line costs an hour."""

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
    """A parsed YAML document and the line of each of its keys and items."""

    file: Path
    value: Any
    lines: dict[KeyPath, int]

    def line(self, path: KeyPath) -> int:
        """Return the line of ``path``, or of its nearest ancestor that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_document(file: Path) -> Document | Problem:
    """Return the one YAML document in ``file``, or what is wrong with it."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return Problem(file, 1, f"cannot be read: {error}")
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Problem(file, 1, "is empty")
        lines: dict[KeyPath, int] = {}
        twice = _collect_lines(node, (), lines)
        if twice is not None:
            return Problem(file, twice.start_mark.line + 1, f"key {twice.value!r} stands twice")
        return Document(file, loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(filter(None, (error.context, error.problem)))
        return Problem(file, mark.line + 1 if mark else 1, f"is not valid YAML: {reason}")
    except (yaml.YAMLError, ValueError) as error:
        return Problem(file, 1, f"is not valid YAML: {error}")
    finally:
        loader.dispose()


def _collect_lines(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int]) -> yaml.ScalarNode | None:
    """Record the lines below ``node``; return the first duplicated key, which PyYAML would hide."""
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    return key
                seen.add(key.value)
                lines[(*path, key.value)] = key.start_mark.line + 1
                if (twice := _collect_lines(value, (*path, key.value), lines)) is not None:
                    return twice
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            if (twice := _collect_lines(value, (*path, index), lines)) is not None:
                return twice
    return None
