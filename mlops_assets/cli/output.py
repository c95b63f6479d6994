"""How commands speak: tables for people, one JSON document for programs, errors on stderr."""

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from mlops_assets.specs.loading import Fleet

GOOD, FINDING, BAD_INPUT = 0, 1, 2

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Model = Annotated[str, typer.Argument(help="Model name, as in its spec.")]


def fail(message: str) -> NoReturn:
    """Print why on stderr and exit with 2."""
    print(f"mlops-assets: {message}", file=sys.stderr)
    sys.exit(BAD_INPUT)


def report_problems(fleet: "Fleet") -> None:
    """Name on stderr what is wrong with specs, and exit with 2 if something is."""
    for problem in fleet.problems:
        print(problem, file=sys.stderr)
    if fleet.problems:
        sys.exit(BAD_INPUT)


def print_json(value: Any) -> None:
    """Print a value as JSON; times become ISO 8601. At once, as it may be waited for."""
    print(json.dumps(value, indent=2, default=_plain), flush=True)


def say(line: str) -> None:
    """Print a line at once, so that progress shows while work goes on, also into a pipe."""
    print(line, flush=True)


def quiet(line: str) -> None:
    """Say nothing; what ``--json`` does with progress."""


def table(columns: list[str], rows: list[list[str]], title: str | None = None) -> None:
    """Print a table fitted to the terminal; wide enough for every cell if it is a pipe."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        shown.add_row(*map(Text, row))  # as it stands: a text may hold what looks like markup
    console = Console()
    if not console.is_terminal:
        console.width = 220
    console.print(shown)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def time_option(text: str | None, option: str = "--as-of") -> datetime | None:
    """Return the time an option names.

    Args:
        text: What was given.
        option: The option.

    Raises:
        SpecError: It is not a time.
    """
    from mlops_assets.errors import SpecError
    from mlops_assets.specs.durations import parse_time

    try:
        return parse_time(text) if text else None
    except ValueError as error:
        raise SpecError(f"{option}: {error}") from error
