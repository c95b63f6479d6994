"""Which fleet a command works on: that of the Dagster project around the working folder."""

import sys
import warnings
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mlops_assets.errors import SpecError, did_you_mean
from mlops_assets.specs.loading import Fleet, LoadedSpec, load_fleet
from mlops_assets.specs.project_folder import ProjectFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dagster as dg


class Project(ProjectFolder):
    """The Dagster project around the working folder, and what it defines."""

    @classmethod
    def _from_settings(cls, root: Path, settings: dict[str, Any]) -> Self:
        found = super()._from_settings(root, settings)
        # So that what the specs name can be imported.
        base = str(found.folder.parents[found.module.count(".")])
        if base not in sys.path:
            sys.path.insert(0, base)
        return found

    def fleet(self) -> Fleet:
        """Return all valid specs, and what is wrong with the others."""
        return load_fleet([self.folder], self.folder)

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

    def definitions(
        self, only: Iterable[LoadedSpec] | None = None, fleet: Iterable[LoadedSpec] = ()
    ) -> "dg.Definitions":
        """Return the project's definitions, or those of some models and the fleet's jobs.

        Args:
            only: Models to load; a run of one model need not pay for five hundred.
            fleet: All models, for who looks at some of them: those that are loaded if not given.
        """
        import dagster as dg

        from mlops_assets.automation.fleet import fleet_definitions
        from mlops_assets.components.defs_folder import load_defs_folder
        from mlops_assets.components.model_lifecycle import lifecycle_definitions
        from mlops_assets.specs.policy_file import load_policy
        from mlops_assets.specs.resolution import effective_rules
        from mlops_assets.stages.fleet_look import WatchedModel

        with quiet_dagster():
            if only is not None:
                policy = load_policy(self.folder)
                watched, every = (
                    [
                        WatchedModel(x.spec, x.file.absolute().parent, effective_rules(x.spec, policy))
                        for x in some
                    ]
                    for some in (only, fleet)
                )
                models = (lifecycle_definitions(x.spec, x.folder, x.rules) for x in watched)
                return dg.Definitions.merge(*models, fleet_definitions(watched, fleet=every))
            return load_defs_folder(self.module, self.root)


@contextmanager
def quiet_dagster() -> "Iterator[None]":
    """Keep Dagster's notes to developers about beta interfaces away from users."""
    import dagster as dg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        warnings.simplefilter("ignore", category=dg.PreviewWarning)
        yield
