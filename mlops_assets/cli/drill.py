"""``mlops-assets drill``: rehearse the way back."""

import sys
from contextlib import nullcontext
from typing import Annotated

import typer

from mlops_assets.cli.output import FINDING, Json, print_json, say, table


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def drill(
        models: Annotated[
            list[str] | None, typer.Argument(metavar="[MODEL]...", help="All that have a way back if none.")
        ] = None,
        json: Json = False,
    ) -> None:
        """Rehearse rollbacks: everything but the move itself, on a running gateway if there is one.

        Each is entered in the audit log. Exits with 1 if a model could not go back.
        """
        from mlops_assets.actor import os_user
        from mlops_assets.automation.drills import rehearse, with_way_back
        from mlops_assets.errors import RolloutError, did_you_mean
        from mlops_assets.gateway_process import running_gateway
        from mlops_assets.home import Home
        from mlops_assets.resources import Platform

        home = Home.from_environment().prepare()
        platform = Platform()
        known = with_way_back(platform)
        for model in models or ():
            if model not in known:
                hint = did_you_mean(model, known)
                raise RolloutError(f"{model} has no previous champion, so there is no way back{hint}")
        url = platform.gateway_url
        with nullcontext(platform.gateway_at(url)) if url else running_gateway(home) as gateway:
            drills = list(rehearse(platform, gateway, models or known, actor=os_user()))
        if json:
            print_json({"drills": [drill.plain() for drill in drills]})
        elif drills:
            table(
                ["model", "champion", "way back", "followed after", "result"],
                [
                    [
                        drill.model,
                        drill.champion,
                        drill.way_back,
                        "–" if drill.seconds is None else f"{drill.seconds:.2f} s",
                        drill.failure or "passed",
                    ]
                    for drill in drills
                ],
            )
        else:
            say("no model has a way back yet")
        if not all(drill.passed for drill in drills):
            sys.exit(FINDING)
