"""``mlops-assets status``: the fleet at a glance."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.cli.output import Json, print_json, report_problems, table

if TYPE_CHECKING:
    from mlops_assets.monitoring.assessment import Assessment
    from mlops_assets.registry.port import ModelVersion
    from mlops_assets.specs.model_spec import ModelSpec


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def status(
        model: Annotated[str | None, typer.Argument(help="One model in detail; the fleet if none.")] = None,
        json: Json = False,
    ) -> None:
        """Show each model: champion, last training, drift, performance, harm, owner, risk.

        Exits with 2, after showing the others, if the spec of some model is wrong.
        """
        from mlops_assets.cli.project import Project
        from mlops_assets.home import Home
        from mlops_assets.resources import Platform
        from mlops_assets.specs.loading import Fleet

        project = Project.around()
        fleet = Fleet([project.spec(model)]) if model else project.fleet()
        specs = [loaded.spec for loaded in fleet.specs]
        Home.from_environment().prepare()
        platform = Platform()
        aliases = platform.registry.aliases()
        latest = platform.state.latest_assessments()
        rows = []
        for spec in specs:
            serving = aliases.get(spec.name, {})
            champion = (
                platform.registry.version(spec.name, serving["champion"]) if "champion" in serving else None
            )
            rows.append(_row(spec, serving, champion, latest.get(spec.name)))
        if json:
            detail = {"changes": platform.state.changes(model)} if model else {}
            print_json({"models": rows, **detail})
            report_problems(fleet)
            return
        names = [
            "model",
            "stage",
            "champion",
            "previous",
            "challenger",
            "trained",
            "drifted",
            "performance",
            "harm",
            "owner",
            "risk",
        ]
        table(names, [[_cell(row[name]) for name in names] for row in rows])
        if model:
            table(
                ["at (UTC)", "who", "what", "detail"],
                [
                    [
                        str(c["at"]),
                        c["actor"],
                        c["action"],
                        ", ".join(f"{k}={v}" for k, v in c["detail"].items()),
                    ]
                    for c in platform.state.changes(model)
                ],
                title="What changed production",
            )
        report_problems(fleet)


def _row(
    spec: "ModelSpec",
    aliases: dict[str, str],
    champion: "ModelVersion | None",
    assessment: "Assessment | None",
) -> dict[str, Any]:
    metric = spec.evaluation.primary_metric
    measured = assessment.metrics.get(metric) if assessment else None
    return {
        "model": spec.name,
        "stage": "serving" if champion else "not trained",
        "champion": aliases.get("champion"),
        "previous": aliases.get("previous_champion"),
        "challenger": aliases.get("challenger"),
        "trained": champion.tags.get("mlops.as_of") if champion else None,
        "drifted": len(assessment.drifted) if assessment else None,
        "performance": f"{metric} {measured[0]:.3f}" if measured else None,
        "harm": assessment.harm if assessment else None,
        "owner": spec.owner,
        "risk": spec.risk,
    }


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return {True: "HARM", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
