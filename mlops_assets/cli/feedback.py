"""``mlops-assets feedback``: what turned out to be true, from a file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.cli.output import FINDING, Json, Model, print_json, quiet, say

if TYPE_CHECKING:
    from mlops_assets.gateway_client import GatewayClient
    from mlops_assets.home import Home

_ERRORS_TOLD = 20


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def feedback(
        model: Model,
        file: Annotated[Path, typer.Argument(help="A .csv, .parquet, .ndjson or .jsonl file.")],
        json: Json = False,
    ) -> None:
        """Send what turned out to be true of a model's predictions to the gateway, a file of any length.

        Columns: prediction_id, or entity and event_time; label, or kind (rating, kpi:NAME) and value; and
        observed_at, when that was known. A line that cannot be taken is named, and the others are taken:
        exit code 1. Where the file says observed_at, it may be sent again, after an interruption too: what
        is sent twice counts once.
        """
        from mlops_assets.cli.feedback_file import pieces_of
        from mlops_assets.home import Home

        pieces = pieces_of(file)
        home = Home.from_environment().prepare()
        accepted = refused = 0
        errors: list[dict[str, Any]] = []
        with _gateway(home) as gateway:
            for first, piece in pieces:
                answer = gateway.feedback_lines(model, piece)
                accepted, refused = accepted + answer["accepted"], refused + answer["refused"]
                told = [{**each, "line": first + each["line"] - 1} for each in answer["errors"]]
                errors += told[: _ERRORS_TOLD - len(errors)]
                (quiet if json else say)(f"{accepted:,} taken, {refused:,} refused")
        if json:
            print_json({"model": model, "accepted": accepted, "refused": refused, "errors": errors})
        for each in errors:
            print(f"{file}:{each['line']}: {each['error']}", file=sys.stderr)
        if refused:
            sys.exit(FINDING)


@contextmanager
def _gateway(home: "Home") -> "Iterator[GatewayClient]":
    """Yield the gateway of a home, or a temporary one if none runs."""
    from mlops_assets.gateway_process import running_gateway
    from mlops_assets.resources import Platform

    platform = Platform()
    url = platform.gateway_url
    if url is None:
        with running_gateway(home) as temporary:
            yield temporary
        return
    client = platform.gateway_at(url)
    try:
        yield client
    finally:
        client.close()
