"""``mlops-assets check``: are all specs right?"""

from pathlib import Path
from typing import Annotated

import typer

from mlops_assets.cli.output import Json, print_json, report_problems, say
from mlops_assets.cli.project import Project
from mlops_assets.specs.loading import load_fleet


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def check(
        paths: Annotated[
            list[Path] | None,
            typer.Argument(help="Spec files, or folders to search; the project's defs folder if none."),
        ] = None,
        json: Json = False,
    ) -> None:
        """Validate all specs: every file, every problem, each with its line.

        Also imports the functions and estimators that the specs name. Exits with 2 if anything is
        wrong.
        """
        project = Project.around(paths[0].absolute() if paths else None)
        fleet = load_fleet(paths or [project.folder], import_code=True)
        if json:
            print_json(
                {
                    "models": [{"name": x.spec.name, "file": str(x.file)} for x in fleet.specs],
                    "problems": [
                        {"file": str(p.file), "line": p.line, "message": p.message} for p in fleet.problems
                    ],
                }
            )
        else:
            right, wrong = len(fleet.specs), len(fleet.problems)
            specs = "1 spec is" if right == 1 else f"{right} specs are"
            say(f"{specs} right, {wrong} problem{'' if wrong == 1 else 's'}")
        report_problems(fleet)
