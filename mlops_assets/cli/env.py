"""``mlops-assets env``: the shell exports for a home."""

import shlex

import typer

from mlops_assets.cli.output import Json, print_json, say
from mlops_assets.gateway_address import living_gateway
from mlops_assets.home import Home


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def env(json: Json = False) -> None:
        """Print the shell exports of this home, so that plain mlflow, dagster and curl work beside it.

        Use it as: eval "$(mlops-assets env)"
        """
        home = Home.from_environment().prepare()
        variables = home.environment()
        if url := living_gateway(home.gateway_address):
            variables["MLOPS_GATEWAY_URL"] = url
        if json:
            print_json(variables)
            return
        for name, value in variables.items():
            say(f"export {name}={shlex.quote(value)}")
