"""``mlops-assets rollback``: the way back."""

from typing import Annotated

import typer

from mlops_assets.cli.output import Json, Model, print_json, say


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def rollback(
        model: Model,
        reason: Annotated[str, typer.Option(help="Why; goes into the audit log.")],
        to: Annotated[
            str | None,
            typer.Option(help="Version to go back to; the previous champion if not given."),
        ] = None,
        json: Json = False,
    ) -> None:
        """Make an earlier version the champion again; the gateway follows within a second.

        The previous champion stays loaded in the gateway, so no request waits or fails.
        """
        import time

        from mlops_assets.actor import os_user
        from mlops_assets.errors import EndpointError, SpecError
        from mlops_assets.home import Home
        from mlops_assets.resources import Platform

        if not reason.strip():
            raise SpecError("--reason must say why")
        Home.from_environment().prepare()
        platform = Platform()
        platform.registry.aliases()  # connect first: what is timed is the way back, not an import
        start = time.perf_counter()
        move = platform.authority.roll_back(model, to, actor=os_user(), reason=reason)
        followed: float | None = None
        if platform.gateway_url is not None:
            try:
                platform.gateway_at(platform.gateway_url).wait_for_champion(model, move.champion, timeout=10)
                followed = time.perf_counter() - start
            except EndpointError as error:
                typer.echo(f"the alias is moved, but the gateway does not confirm it: {error}", err=True)
        if json:
            print_json({**vars(move), "reason": reason, "gateway_followed_after_seconds": followed})
            return
        served = "no gateway is running" if followed is None else f"served after {followed:.2f} s"
        said = (
            f"{move.previous} → {move.champion}"
            if move.moved
            else f"{move.champion} was already the champion"
        )
        say(f"{model}: {said} ({served})")
