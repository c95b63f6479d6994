"""``mlops-assets monitor``: one monitoring pass."""

from typing import TYPE_CHECKING, Annotated

import typer

from mlops_assets.cli.output import (
    BAD_INPUT,
    FINDING,
    Json,
    print_json,
    report_problems,
    say,
    table,
    time_option,
)

if TYPE_CHECKING:
    from mlops_assets.monitoring.incidents.alarm import Alarm


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def monitor(
        models: Annotated[
            list[str] | None, typer.Argument(help="Models to look at; all that serve if none.")
        ] = None,
        as_of: Annotated[
            str | None, typer.Option(help="Look as if it were this time (ISO 8601, UTC).")
        ] = None,
        report: Annotated[
            bool, typer.Option("--report", help="Make Evidently's report of each, alarm or not.")
        ] = False,
        json: Json = False,
    ) -> None:
        """Look at the fleet's last complete window: drift, quality, performance, fairness, service, cost.

        Exits with 1 if anything is an alarm; mlops-assets incidents tells what is behind it. The retraining
        sensor decides on what this pass files. A model that cannot be looked at, or whose spec is wrong, is
        named at the end with exit code 2, and stops none of the others.
        """
        from mlops_assets.cli.execution import run_monitoring
        from mlops_assets.cli.instance import open_instance
        from mlops_assets.cli.project import Project
        from mlops_assets.errors import SpecError
        from mlops_assets.home import Home
        from mlops_assets.resources import Platform
        from mlops_assets.specs.durations import utc_now
        from mlops_assets.specs.loading import Fleet

        time = time_option(as_of)
        if time is not None and time > utc_now():
            raise SpecError(f"--as-of: {as_of} has not come yet")
        project = Project.around()
        everyone = project.fleet()
        fleet = Fleet([project.spec(m) for m in models]) if models else everyone
        home = Home.from_environment().prepare()
        platform = Platform()
        serving = platform.registry.aliases()
        watched = [x for x in fleet.specs if "champion" in serving.get(x.spec.name, {})]
        if models and (idle := [x.spec.name for x in fleet.specs if x not in watched]):
            raise SpecError(f"{', '.join(idle)}: no champion to watch; run the lifecycle first")
        found, failures = [], []
        if watched:
            specs = [x.spec for x in watched]
            definitions = project.definitions(watched, everyone.specs)
            for outcome in run_monitoring(definitions, open_instance(home), specs, as_of=time, report=report):
                found += [platform.state.assessment(m["assessment"]) for m in outcome.metadata.values()]
                failures += outcome.failures
            found.sort(key=lambda assessment: (assessment.model, assessment.start))
        if json:
            print_json([a.model_dump(mode="json") for a in found])
        elif not watched:
            say("no model serves yet; run one with mlops-assets run MODEL")
        else:
            table(
                ["model", "window", "served", "labelled", "alarms", "harm", "verdict"],
                [
                    [
                        a.model,
                        f"{a.start:%Y-%m-%d} – {a.end:%Y-%m-%d}",
                        f"{a.served:,}",
                        f"{a.labelled:,}",
                        ", ".join(dict.fromkeys(_named(each) for each in a.alarms)) or "–",
                        "HARM" if a.harm else "no",
                        a.reason,
                    ]
                    for a in found
                ],
            )
            for each in (alarm for a in found for alarm in a.alarms):
                say(f"{each.model} {each.kind.replace('_', ' ')}: {each.says}")
        for failure in failures:
            typer.echo(failure, err=True)
        report_problems(fleet)
        if failures:
            raise typer.Exit(BAD_INPUT)
        if any(a.alarms for a in found):
            raise typer.Exit(FINDING)


def _named(alarm: "Alarm") -> str:
    return alarm.subject if alarm.change is not None else alarm.kind.replace("_", " ")
