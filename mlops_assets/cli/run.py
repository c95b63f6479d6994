"""``mlops-assets run``: one model's lifecycle."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_assets.cli.output import (
    BAD_INPUT,
    FINDING,
    Json,
    Model,
    fail,
    print_json,
    quiet,
    say,
    time_option,
)

if TYPE_CHECKING:
    from mlops_assets.home import Home


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def run(
        model: Model,
        as_of: Annotated[
            str | None, typer.Option(help="Train as if it were this time (ISO 8601, UTC).")
        ] = None,
        window: Annotated[
            str | None,
            typer.Option(help="How much history to read, such as 90d; the spec's if not given."),
        ] = None,
        version: Annotated[
            str | None, typer.Option(help="Only deploy this version, which was registered last.")
        ] = None,
        json: Json = False,
    ) -> None:
        """Take one model from raw data to its endpoint, through Dagster and its gates.

        Exits with 1 if a gate refused the candidate: the champion stays. Running it again after a kill
        or a failure goes on where it stopped and registers no candidate twice.
        """
        from mlops_assets.cli.execution import run_lifecycle
        from mlops_assets.cli.instance import open_instance
        from mlops_assets.cli.project import Project
        from mlops_assets.gateway_process import gateway_underway
        from mlops_assets.home import Home
        from mlops_assets.registry.port import CHAMPION
        from mlops_assets.resources import Platform

        time = time_option(as_of)
        project = Project.around()
        spec = project.spec(model)
        home = Home.from_environment().prepare()
        platform = Platform()
        lasting = platform.gateway_url is not None
        # Asked first: nothing should be read and trained for an hour that cannot be registered then.
        platform.registry.by_alias(model, CHAMPION)
        _ = platform.signer
        with nullcontext() if lasting else gateway_underway(home):
            outcome = run_lifecycle(
                project.definitions([spec]),
                open_instance(home),
                home,
                model,
                as_of=time,
                window=window,
                tags={"mlops/trigger": "manual"},
                stages=_only_the_endpoint(home, model, version) if version else None,
                progress=quiet if json else say,
            )
        deployed = outcome.metadata.get((model, "deployed_endpoint"), {})
        if json:
            print_json(
                {
                    "model": model,
                    "run_id": outcome.run_id,
                    "success": outcome.success,
                    "champion": deployed.get("champion"),
                    "rollout": deployed.get("rollout"),
                    "refusals": [vars(r) for r in outcome.refusals],
                    "failure": outcome.failure,
                }
            )
        elif outcome.success:
            since = "promoted now" if deployed["moved"] else "as before"
            say(f"{model}: version {deployed['champion']} is the champion ({since})")
            if rollout := deployed.get("rollout"):
                say(
                    f"{model}: version {deployed['challenger']} is on its way ({rollout}); see mlops-assets "
                    f"status {model}"
                )
            if not lasting:
                say("no gateway is running; mlops-assets serve starts one")
        for refusal in outcome.refusals:
            typer.echo(f"refused by gate {refusal.gate} of {refusal.stage}: {refusal.summary}", err=True)
        if outcome.failure is not None:
            if outcome.bad_input:
                fail(outcome.failure)
            typer.echo(outcome.failure, err=True)
        if not outcome.success:
            raise typer.Exit(FINDING if outcome.refusals or not outcome.bad_input else BAD_INPUT)


def _only_the_endpoint(home: "Home", model: str, version: str) -> list[str]:
    """Return the stage that deploys, if it would deploy this version.

    Raises:
        SpecError: Another version was registered last, or none.
    """
    from mlops_assets.errors import SpecError
    from mlops_assets.resources import latest_record
    from mlops_assets.stages.records import Registered

    registered = latest_record(home, model, "registered_version", Registered)
    if registered is None or registered.version != version:
        last = f"version {registered.version}" if registered else "none"
        raise SpecError(
            f"--version {version}: {model} registered {last} last, and only that one can be deployed; "
            "rollback --to goes back to an earlier one"
        )
    return ["deployed_endpoint"]
