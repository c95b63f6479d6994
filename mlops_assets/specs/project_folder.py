"""Which Dagster project a folder is in, by its settings file."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mlops_assets.errors import SpecError


@dataclass(frozen=True)
class ProjectFolder:
    """A Dagster project with a defs folder.

    Attributes:
        root: Folder of ``dg.toml`` or ``pyproject.toml``.
        module: Dotted name of the defs module.
        folder: The defs folder.
    """

    root: Path
    module: str
    folder: Path

    @classmethod
    def around(cls, start: Path | None = None, *, own: bool = True) -> Self:
        """Return the project around a folder.

        Args:
            start: The folder; the working folder if None.
            own: Whether this package itself, with its example, is meant if there is no project.

        Raises:
            SpecError: There is no project, or its settings name no module.
        """
        start = start or Path.cwd()
        for folder in (start, *start.parents):
            settings = _settings(folder)
            if settings is not None:
                return cls._from_settings(folder, settings)
        if not own:
            raise SpecError(
                f"{start} is in no Dagster project; change into one, or make one with create-dagster project"
            )
        package = Path(__file__).parent.parent
        return cls(package.parent, "mlops_assets.defs", package / "defs")

    @classmethod
    def _from_settings(cls, root: Path, settings: dict[str, Any]) -> Self:
        name = settings.get("defs_module") or f"{settings.get('root_module', '')}.defs"
        if name == ".defs":
            raise SpecError(f"{root}: the dg settings name no project.root_module")
        relative = Path(*name.split("."))
        for base in (root, root / "src"):
            if (base / relative).is_dir():
                return cls(root, name, base / relative)
        raise SpecError(f"{root}: there is no folder {relative} for the module {name}")


def _settings(folder: Path) -> dict[str, Any] | None:
    """Return the dg project settings in a folder, or None."""
    for name, path in (("dg.toml", ("project",)), ("pyproject.toml", ("tool", "dg", "project"))):
        file = folder / name
        if not file.is_file():
            continue
        try:
            value: Any = tomllib.loads(file.read_text())
        except tomllib.TOMLDecodeError as error:
            raise SpecError(f"{os.path.relpath(file)}: is not valid TOML: {error}") from error
        for key in path:
            value = value.get(key, {})
        if value:
            return dict(value)
    return None
