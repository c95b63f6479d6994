"""``mlops-assets new``: scaffold a spec."""

from pathlib import Path
from typing import Annotated

import typer

from mlops_assets.cli.output import Json, print_json, say


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def new(
        name: Annotated[str, typer.Argument(help="Model name: small letters, digits, underscores.")],
        task: Annotated[
            str | None,
            typer.Option(help="binary_classification, multiclass_classification or regression."),
        ] = None,
        csv: Annotated[Path | None, typer.Option("--from", help="CSV file to take the columns from.")] = None,
        target: Annotated[str | None, typer.Option(help="Column to predict; the last if not given.")] = None,
        time_column: Annotated[
            str | None, typer.Option(help="Column with the event's time; found if not given.")
        ] = None,
        json: Json = False,
    ) -> None:
        """Scaffold a model that passes check and runs as it is, for you to make your own."""
        from mlops_assets.cli.project import Project
        from mlops_assets.specs.scaffolding import draft_spec

        project = Project.around(own=False)
        files = draft_spec(
            project.folder / name,
            name=name,
            task=task,
            csv=csv,
            target=target,
            time_column=time_column,
            module=f"{project.module}.{name}",
        )
        if json:
            print_json({"model": name, "files": [str(f) for f in files]})
            return
        for file in files:
            say(f"wrote {file}")
        say(f"Next: edit the spec, then mlops-assets check && mlops-assets run {name}")
