"""``mlops-assets serve``: the gateway."""

from typing import Annotated

import typer

from mlops_assets.cli.output import Json, print_json, say


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def serve(
        host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
        port: Annotated[int, typer.Option(help="Port; 0 for a free one.", min=0, max=65535)] = 8080,
        workers: Annotated[
            int, typer.Option(help="Processes that share the port and change versions together.", min=1)
        ] = 1,
        most_models: Annotated[
            int | None,
            typer.Option(
                help="Versions in memory at once; others are loaded when they are asked for.",
                envvar="MLOPS_MOST_MODELS",
                min=1,
            ),
        ] = None,
        allow_anonymous: Annotated[
            bool, typer.Option("--allow-anonymous", help="Let callers without a key or token in, too.")
        ] = False,
        json: Json = False,
    ) -> None:
        """Serve every model that has a champion: Open Inference Protocol v2 and MLflow's invocations.

        Follows the registry's aliases within a second, keeps the previous champion loaded, and logs each
        prediction before it answers. Stops gracefully on Ctrl-C or SIGTERM. With --json it prints its URL
        as soon as it answers. On another address than the loopback interface's it starts only if a caller
        has a key (mlops-assets keys add), if MLOPS_JWKS names an identity provider, or with
        --allow-anonymous.
        """
        from mlops_assets.home import Home
        from mlops_assets.serving.server import run_gateway

        def announce(url: str) -> None:
            if json:
                print_json({"url": url})
            else:
                say(f"serving at {url}")

        run_gateway(
            Home.from_environment(),
            host,
            port,
            workers=workers,
            most_models=most_models,
            allow_anonymous=allow_anonymous,
            on_ready=announce,
        )
