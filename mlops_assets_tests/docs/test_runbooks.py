"""Each kind of incident has a runbook, and what it tells people to type exists."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from mlops_assets.cli.main import app
from mlops_assets.monitoring.incidents.alarm import KINDS
from mlops_assets.monitoring.incidents.assumptions import Assumptions
from mlops_assets.monitoring.incidents.runbooks import FOLDER, runbook

ROOT = Path(__file__).parents[2]
PARTS = ["What it means", "The first five minutes", "Find the cause", "End it", "What makes it come back"]
DOCUMENTS = [*(ROOT / FOLDER).glob("*.md"), ROOT / "docs/reference/incidents.md"]


def typed(document: Path) -> list[str]:
    """Return the commands of ours in a document, in blocks and in sentences."""
    text = document.read_text()
    blocks = "\n".join(re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S))
    lines = re.findall(r"(?:^|\$\()mlops-assets ([^#)\n]+)", blocks, re.M)
    return [*lines, *re.findall(r"`mlops-assets ([^`]+)`", text)]


def test_each_kind_has_a_runbook_and_there_is_no_other() -> None:
    assert {file.stem for file in (ROOT / FOLDER).iterdir()} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_runbook_is_short_and_has_all_its_parts(kind: Any) -> None:
    text = (ROOT / runbook(kind)).read_text()
    assert re.findall(r"^## (.*)$", text, re.M) == PARTS
    assert len(text.splitlines()) <= 60
    assert "mlops-assets incidents " in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.stem)
def test_what_is_to_be_typed_exists(document: Path) -> None:
    commands = typed(document)
    assert commands
    for line in commands:
        command: Any = get_command(app)
        words = shlex.split(line.replace("…", "x"))
        while hasattr(command, "commands") and words and not words[0].startswith("-"):
            assert words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        known = {
            name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)
        }
        for word in words:
            if word.startswith("-"):
                assert word in known, f"{document.stem}: {line}"


def test_what_is_assumed_of_faults_is_what_the_reference_says() -> None:
    given = Assumptions()
    text = (ROOT / "docs/reference/incidents.md").read_text()
    stated = [float(row.strip()) for row in re.findall(r"^\| .*`.* \| (\.\d+) \|$", text, re.M)]
    detection = given.detection
    assert detection["model"] == detection["column"] == detection["broken_source"]
    assert detection["missing_source"] == detection["labels"] == detection["deployment"]
    assert detection["gateway"] == detection["monitoring"]
    assert stated == [
        given.false_alarm,
        given.fault,
        detection["column"],
        given.clear_detection,
        detection["labels"],
        detection["gateway"],
        given.late,
        given.own_fault,
    ]
    assert f"*{given.alike:g} ÷ {given.alike_by_chance:g}*".replace("0.", ".") in text
