"""``mlops-assets check``: are all specs and the policy right, and what does the policy demand of a model?"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.cli.output import Json, print_json, report_problems, say, table
from mlops_assets.cli.project import Project
from mlops_assets.specs.loading import Fleet, load_fleet
from mlops_assets.specs.yaml_positions import Problem

if TYPE_CHECKING:
    from mlops_assets.specs.resolution import Demand


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def check(
        paths: Annotated[
            list[Path] | None,
            typer.Argument(help="Spec files, or folders to search; the project's defs folder if none."),
        ] = None,
        explain: Annotated[
            str | None,
            typer.Option(metavar="MODEL", help="Show all that the policy demands of a model, and where."),
        ] = None,
        json: Json = False,
    ) -> None:
        """Validate all specs and the policy: every file, every problem, each with its line.

        Also imports the functions and estimators that the specs name, and finds where a spec asks for less
        than the policy. Exits with 2 if anything is wrong. What the policy names and only this machine lacks,
        such as a notifier's environment variable, is a warning.
        """
        from mlops_assets.specs.policy_file import policy_warnings

        project = Project.around(paths[0].absolute() if paths else None)
        if explain is not None:
            _explain(project, explain, json)
            return
        fleet = load_fleet(paths or [project.folder], project.folder, import_code=True)
        warnings = policy_warnings(project.folder)
        for warning in warnings:
            print(f"warning: {warning}", file=sys.stderr)
        if json:
            print_json({**_told(fleet), "warnings": [_found(warning) for warning in warnings]})
        else:
            right, wrong = len(fleet.specs), len(fleet.problems)
            specs = "1 spec is" if right == 1 else f"{right} specs are"
            say(f"{specs} right, {wrong} problem{'' if wrong == 1 else 's'}")
        report_problems(fleet)


def _told(fleet: Fleet) -> dict[str, Any]:
    return {
        "models": [{"name": x.spec.name, "file": str(x.file)} for x in fleet.specs],
        "problems": [_found(problem) for problem in fleet.problems],
    }


def _found(problem: Problem) -> dict[str, Any]:
    return {"file": str(problem.file), "line": problem.line, "message": problem.message}


def _explain(project: Project, model: str, json: bool) -> None:
    from mlops_assets.specs.policy_file import load_policy
    from mlops_assets.specs.resolution import explained

    loaded = project.spec(model)
    demands = explained(loaded, load_policy(project.folder))
    if json:
        print_json({"model": model, "risk": loaded.spec.risk, "demands": [_as_json(d) for d in demands]})
        return
    rows = [[".".join(d.path), d.told, str(d.origin)] for d in demands]
    table(["demand", "value", "written in"], rows, title=f"{model} ({loaded.spec.risk} risk)")


def _as_json(demand: "Demand") -> dict[str, Any]:
    return {
        "path": ".".join(demand.path),
        "value": demand.told,
        "file": str(demand.origin.file),
        "line": demand.origin.line,
    }
