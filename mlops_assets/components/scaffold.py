"""Scaffold a spec: from nothing, or from the columns of a CSV file."""

from pathlib import Path

from dagster.components import Scaffolder, ScaffoldRequest
from pydantic import BaseModel, Field

from mlops_assets.specs.scaffolding import draft_spec


class SpecScaffoldParams(BaseModel):
    """What ``dg scaffold defs mlops_assets.ModelLifecycle`` may be told."""

    task: str = Field("binary_classification", description="What the model predicts.")
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
        params = request.params or SpecScaffoldParams()
        draft_spec(
            request.target_path,
            name=request.target_path.name,
            task=params.task,
            csv=Path(params.csv) if params.csv else None,
            target=params.target,
            time_column=params.time_column,
        )
