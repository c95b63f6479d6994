"""Which fleet a command works on: that of the Dagster project around the working folder."""

import os
import sys
import tomllib
import warnings
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import SpecError, did_you_mean
from mlops_assets.specs.loading import Fleet, LoadedSpec, load_fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dagster as dg


@dataclass(frozen=True)
class Project:
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
    def around(cls, start: Path | None = None, *, own: bool = True) -> "Project":
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
    def _from_settings(cls, root: Path, settings: dict[str, Any]) -> "Project":
        name = settings.get("defs_module") or f"{settings.get('root_module', '')}.defs"
        if name == ".defs":
            raise SpecError(f"{root}: the dg settings name no project.root_module")
        relative = Path(*name.split("."))
        for base in (root, root / "src"):
            if (base / relative).is_dir():
                if str(base) not in sys.path:
                    sys.path.insert(0, str(base))
                return cls(root, name, base / relative)
        raise SpecError(f"{root}: there is no folder {relative} for the module {name}")

    def fleet(self) -> Fleet:
        """Return all valid specs, and what is wrong with the others."""
        return load_fleet([self.folder])

    def spec(self, model: str) -> LoadedSpec:
        """Return one model's spec.

        Raises:
            SpecError: There is no such model, or its own file is wrong. Other models' troubles do
                not stop this one.
        """
        fleet = self.fleet()
        for loaded in fleet.specs:
            if loaded.spec.name == model:
                return loaded
        if own := [str(p) for p in fleet.problems if p.file.parent.name == model]:
            raise SpecError("\n".join(own))
        known = [loaded.spec.name for loaded in fleet.specs]
        unknown = f"there is no {'valid spec of ' if fleet.problems else ''}model {model!r}"
        raise SpecError(
            "\n".join(
                [
                    *map(str, fleet.problems),
                    f"{unknown}{did_you_mean(model, known)}; known: {', '.join(known) or 'none'}",
                ]
            )
        )

    def definitions(self, only: Iterable[LoadedSpec] | None = None) -> "dg.Definitions":
        """Return the project's definitions, or those of some models and the fleet's jobs.

        Args:
            only: Models to load; a run of one model need not pay for five hundred.
        """
        import dagster as dg

        from mlops_assets.automation.fleet import fleet_definitions
        from mlops_assets.components.defs_folder import load_defs_folder
        from mlops_assets.components.model_lifecycle import lifecycle_definitions

        with quiet_dagster():
            if only is not None:
                models = (lifecycle_definitions(x.spec, x.file.absolute().parent) for x in only)
                return dg.Definitions.merge(*models, fleet_definitions())
            return load_defs_folder(self.module, self.root)


@contextmanager
def quiet_dagster() -> "Iterator[None]":
    """Keep Dagster's notes to developers about beta interfaces away from users."""
    import dagster as dg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        warnings.simplefilter("ignore", category=dg.PreviewWarning)
        yield


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
