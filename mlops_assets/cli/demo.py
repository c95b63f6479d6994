"""``mlops-assets demo``: a year of real flights, start to finish."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from mlops_assets.cli.output import Json, print_json, quiet, say, table
from mlops_assets.errors import SpecError
from mlops_assets.home import Home, write_atomically

_MARK = "demo.json"


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def demo(
        rows: Annotated[int, typer.Option(help="Flights sent to the gateway each month.", min=1000)] = 2000,
        json: Json = False,
    ) -> None:
        """Live through a year of real flights: train, refuse, serve, watch, retrain, roll back.

        Everything goes through Dagster, MLflow and a real gateway process and stays visible in their
        UIs: mlops-assets up. A home that an earlier demo filled is made anew; any other is left alone.
        """
        from mlops_assets.cli.demo_story import tell

        home = _fresh(Home.from_environment())
        started = datetime.now(UTC)
        story = tell(home, rows, quiet if json else say)
        story["seconds"] = round((datetime.now(UTC) - started).total_seconds(), 1)
        import json as json_format

        write_atomically(home.root / _MARK, json_format.dumps(story, indent=2, default=str).encode())
        if json:
            print_json(story)
            return
        _print(story, home)


def _fresh(home: Home) -> Home:
    """Return a home to tell the story in; one that a demo filled is emptied first.

    Raises:
        SpecError: The home holds something that no demo made.
    """
    if home.root.exists() and any(home.root.iterdir()):
        if not (home.root / _MARK).exists():
            raise SpecError(
                f"{home.root} holds a fleet already, which the demo leaves alone; set MLOPS_HOME to an empty "
                "folder"
            )
        shutil.rmtree(home.root)
    home.create()
    write_atomically(home.root / _MARK, b"{}")
    return home.prepare()


def _print(story: dict[str, object], home: Home) -> None:
    months = story["months"]
    assert isinstance(months, list)
    say("")
    table(
        [
            "month",
            "champion",
            "served",
            "drifted features",
            "AUC",
            "Brier",
            "decision",
            "challenger",
        ],
        [
            [
                m["month"],
                f"v{m['champion']}",
                f"{m['served']:,}",
                f"{len(m['drifted'])} of {m['features']}",
                f"{m['roc_auc'][0]:.3f} [{m['roc_auc'][1]:.3f}, {m['roc_auc'][2]:.3f}]",
                f"{m['brier'][0]:.3f}",
                m["decision"],
                m["challenger"],
            ]
            for m in months
        ],
        title="flight_delay, April to December 2013",
    )
    rollback = story["rollback"]
    assert isinstance(rollback, dict)
    say("")
    say(
        f"Rollback v{rollback['from']} → v{rollback['to']}: first answer by v{rollback['to']} after "
        f"{rollback['seconds'] * 1000:.0f} ms, {rollback['requests']:,} requests meanwhile, "
        f"{rollback['failed']} failed"
    )
    say(f"The whole story took {story['seconds']} s.")
    say("")
    where = "" if home.root == Path(".mlops").absolute() else f"MLOPS_HOME={home.root} "
    say(f"Look around: {where}mlops-assets up   (Dagster, MLflow and the gateway's fleet page)")
    say(f"             {where}mlops-assets status flight_delay")
