"""``mlops-assets audit``: who changed production or tried to, when and why, and is the record untouched?"""

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.cli.output import FINDING, Json, print_json, say, table

if TYPE_CHECKING:
    from mlops_assets.governance.audit_chain import AuditChain
    from mlops_assets.governance.audit_entry import Entry
    from mlops_assets.governance.signatures import Verifier

_SHORT_DIGEST = 12
_LONGEST = 64
_STATEMENTS = ("release", "signed", "stand", "traffic")  # for programs; --json has them


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def audit(
        model: Annotated[str | None, typer.Argument(help="Of this model only.")] = None,
        verify: Annotated[
            bool, typer.Option("--verify", help="Also check the whole chain against its signed checkpoints.")
        ] = False,
        last: Annotated[int, typer.Option(min=1, help="How many entries to show, the newest.")] = 50,
        json: Json = False,
    ) -> None:
        """Show what changed production or tried to: who, what, when, why, on what evidence.

        With --verify exits with 1 if an entry was edited, removed, moved, slipped in or cut off.
        """
        from mlops_assets.governance.audit_chain import AuditChain
        from mlops_assets.governance.signatures import Verifier
        from mlops_assets.home import Home

        home = Home.from_environment().prepare()
        chain = AuditChain(home.state_url, home.audit_checkpoints)
        entries = chain.entries(model, last=last)
        verified = _verified(chain, Verifier.for_home(home.root)) if verify else {}
        problems = verified.get("problems", [])
        if json:
            print_json({"entries": [entry.model_dump() for entry in entries], **verified})
        else:
            show_entries(entries)
            if verify and not problems:
                say(_in_order(verified))
        for problem in problems:
            print(problem, file=sys.stderr)
        if problems:
            sys.exit(FINDING)


def show_entries(entries: "Sequence[Entry]", title: str | None = None) -> None:
    """Print audit entries as a table."""
    table(
        ["no.", "at (UTC)", "who", "what", "model", "why", "evidence", "detail"],
        [
            [
                str(entry.seq),
                entry.at.removesuffix("Z"),
                *map(_in_one_line, (entry.actor, entry.action, entry.model, entry.reason)),
                entry.evidence[:_SHORT_DIGEST],
                _in_one_line(
                    ", ".join(
                        f"{key}={_shortened(value)}"
                        for key, value in entry.detail.items()
                        if key not in _STATEMENTS
                    )
                ),
            ]
            for entry in entries
        ],
        title=title,
    )


def _shortened(value: Any) -> str:
    """Return a value as a table has room for it; --json has it whole."""
    text = str(value)
    if re.fullmatch("[0-9a-f]{64}", text):
        return text[:_SHORT_DIGEST]
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _verified(chain: "AuditChain", verifier: "Verifier") -> dict[str, Any]:
    checkpoint, length = chain.checkpoints.newest(verifier), chain.head().length
    return {
        "length": length,
        "checkpoint": checkpoint.model_dump() if checkpoint else None,
        "problems": chain.verify(verifier),
    }


def _in_order(verified: dict[str, Any]) -> str:
    """Return the line that says that all is well, and how far it is vouched for."""
    length, checkpoint = verified["length"], verified["checkpoint"]
    counted = "1 entry" if length == 1 else f"{length} entries"
    if checkpoint is None:
        return f"{counted}, no checkpoint yet"
    newer = length - checkpoint["length"]
    said = f"{counted}, unbroken, checkpoint of {checkpoint['at']}"
    return f"{said}; not in it yet: the newest {newer}" if newer > 0 else said


def _in_one_line(text: str) -> str:
    """Return text with what would move a terminal's cursor, or hide other lines, spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
