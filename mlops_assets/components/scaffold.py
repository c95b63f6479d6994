"""Scaffold a spec: from nothing, or from the columns of a CSV file."""

from contextlib import suppress
from pathlib import Path

from dagster.components import Scaffolder, ScaffoldRequest
from pydantic import BaseModel, Field

from mlops_assets.errors import MlopsError, SpecError
from mlops_assets.specs.scaffolding import draft_spec


class SpecScaffoldParams(BaseModel):
    """What ``dg scaffold defs mlops_assets.ModelLifecycle`` may be told."""

    task: str | None = Field(
        None,
        description="binary_classification, multiclass_classification or regression; guessed from the "
        "target of a CSV file if not given.",
    )
    csv: str | None = Field(None, description="CSV file to read the columns from.")
    target: str | None = Field(None, description="Column to predict; the last one if not given.")
    time_column: str | None = Field(None, description="Column with the event's time.")


class SpecScaffolder(Scaffolder[SpecScaffoldParams]):
    """Writes a ``defs.yaml`` that passes ``mlops-assets check`` and runs as it is."""

    @classmethod
    def get_scaffold_params(cls) -> type[SpecScaffoldParams]:
        """Return what can be asked for."""
        return SpecScaffoldParams

    def scaffold(self, request: ScaffoldRequest[SpecScaffoldParams]) -> None:
        """Write the folder of a new model."""
        import click

        params = request.params or SpecScaffoldParams()
        try:
            if request.scaffold_format != "yaml":
                raise SpecError("a spec is written in YAML; leave out --format")
            draft_spec(
                request.target_path,
                name=request.target_path.name,
                task=params.task,
                csv=Path(params.csv) if params.csv else None,
                target=params.target,
                time_column=params.time_column,
                module=_module(request),
            )
        except MlopsError as error:
            # Dagster has made the folder, and would refuse to make it again after the mistake is mended.
            with suppress(OSError):
                request.target_path.rmdir()
            raise click.ClickException(str(error)) from error


def _module(request: ScaffoldRequest[SpecScaffoldParams]) -> str:
    """Return the name under which the new folder will import: its path in the project, src apart."""
    target = request.target_path.absolute()
    root = (request.project_root or target.parent).absolute()
    parts = target.relative_to(root).parts
    return ".".join(parts[1:] if parts[0] == "src" else parts)
