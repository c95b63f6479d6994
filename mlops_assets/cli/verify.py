"""``mlops-assets verify``: is an audit pack what the platform signed? By nothing but its public key."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.cli.output import FINDING, Json, print_json, say

if TYPE_CHECKING:
    from mlops_assets.governance.pack_verification import Check

_MARKS = {True: "✓", False: "✗", None: "–"}


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def verify(
        file: Annotated[Path, typer.Argument(help="An audit pack, as mlops-assets evidence writes it.")],
        key: Annotated[
            Path | None,
            typer.Option(help="The platform's public key (PEM); MLOPS_VERIFY_KEY, else this home's."),
        ] = None,
        json: Json = False,
    ) -> None:
        """Check an audit pack: digests, signatures, gates, release, approvals, its place in the audit chain.

        It needs the file and the platform's public key, and neither network nor home. Exits with 1 if a check
        fails.
        """
        from mlops_assets.governance.archive import read_archive
        from mlops_assets.governance.pack_verification import verify_pack
        from mlops_assets.governance.signatures import Verifier
        from mlops_assets.home import Home
        from mlops_assets.specs.durations import utc_now

        verifier = Verifier.handed_over(key, Home.from_environment().root)
        checks = verify_pack(read_archive(file), verifier, utc_now())
        if json:
            print_json({"file": str(file), **checks_json(checks)})
        else:
            show_checks(checks)
        if any(check.passed is False for check in checks):
            sys.exit(FINDING)


def show_checks(checks: "Sequence[Check]") -> None:
    """Print each check on a line of its own."""
    width = max(len(check.name) for check in checks)
    for check in checks:
        say(f"{_MARKS[check.passed]} {check.name:<{width}}  {_printable(check.said)}")


def checks_json(checks: "Sequence[Check]") -> dict[str, Any]:
    """Return checks as a JSON document has them; one that did not apply passed neither way."""
    good = all(check.passed is not False for check in checks)
    return {"verified": good, "checks": [check._asdict() for check in checks]}


def _printable(text: str) -> str:
    """Return text in which nothing moves the terminal's cursor: a pack may have been tampered with."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
