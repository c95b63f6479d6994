"""``mlops-assets audit``: the record of what changed production, and whether it is as it was written."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest


def _tamper(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "fleet.db")) as database, database:
        database.execute(statement)


def test_a_promotion_is_on_record_and_the_record_is_in_order(
    warm: Any, project: Any, home_with_champion: Path
) -> None:
    shown = warm.cli("audit", "tumour", "--verify", cwd=project.root, home=home_with_champion)
    assert shown.code == 0, shown.err
    assert shown.err == ""
    *_, registration, entry, verdict = shown.out.splitlines()
    for words in ("register", "tumour", "every required gate passed", "version=1"):
        assert words in registration
    for words in ("promote", "tumour", "version=1"):
        assert words in entry
    assert verdict.startswith("2 entries, unbroken, checkpoint of 20")
    told = warm.cli("audit", "--verify", "--json", cwd=project.root, home=home_with_champion).json
    assert told["problems"] == []
    assert told["length"] == told["checkpoint"]["length"] == 2
    registered, promoted = told["entries"]
    assert len(promoted["evidence"]) == 64
    assert registered["evidence"] == promoted["evidence"]
    status = warm.cli("status", "tumour", "--json", cwd=project.root, home=home_with_champion).json
    assert status["changes"] == told["entries"]


def test_a_rollback_is_on_record_with_its_reason_as_it_was_typed(
    warm: Any, project: Any, home_with_champion: Path
) -> None:
    home = home_with_champion
    project.write_spec(data={"features": [c for c in project.columns if c.startswith("mean_")]})
    assert warm.cli("run", "tumour", "--as-of", project.as_of, cwd=project.root, home=home).code == 0
    reason = "[/bold] :smile: two\nlines \x1b[2K"
    back = warm.cli("rollback", "tumour", "--reason", reason, cwd=project.root, home=home)
    assert back.code == 0, back.err
    shown = warm.cli("audit", "tumour", "--verify", cwd=project.root, home=home)
    assert shown.code == 0, shown.err
    *_, second, rollback, verdict = shown.out.splitlines()
    assert "promote" in second
    assert all(words in second for words in ("previous=1", "version=2"))
    assert "[/bold] :smile: two\\nlines \\x1b[2K" in rollback
    assert all(words in rollback for words in ("previous=2", "version=1"))
    assert "spec_change" in shown.out
    assert verdict.startswith("7 entries, unbroken, checkpoint of 20")
    last = warm.cli("audit", "--last", 1, "--json", cwd=project.root, home=home).json
    assert [entry["reason"] for entry in last["entries"]] == [reason]
    status = warm.cli("status", "tumour", cwd=project.root, home=home)
    assert rollback in status.out


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE audit_chain SET body = replace(body, 'promote', 'observe')",
            "entry 2 is not as it was written",
        ),
        (
            "UPDATE audit_chain SET model = 'other'",
            "entry 1 shows model 'other', but was written with 'tumour'",
        ),
        ("DELETE FROM audit_chain", "the chain ends with entry 0, but on 20"),
        ("DROP TABLE audit_chain", "the chain ends with entry 0, but on 20"),
        ("UPDATE audit_chain SET body = '{'", "entry 1 is not as it was written"),
    ],
)
def test_what_was_tampered_with_is_a_finding(
    statement: str, said: str, warm: Any, project: Any, home_with_champion: Path
) -> None:
    _tamper(home_with_champion, statement)
    ended = warm.cli("audit", "--verify", cwd=project.root, home=home_with_champion)
    assert ended.code == 1
    assert ended.err.startswith(said)
    assert "unbroken" not in ended.out
    told = warm.cli("audit", "--verify", "--json", cwd=project.root, home=home_with_champion)
    assert told.code == 1
    assert told.json["problems"] == ended.err.splitlines()


def test_checkpoints_may_lie_on_another_volume(
    warm: Any, project: Any, home_with_champion: Path, tmp_path: Path
) -> None:
    home, volume = home_with_champion, tmp_path / "volume"
    lost = warm.cli("audit", "--verify", cwd=project.root, home=home, MLOPS_AUDIT_CHECKPOINTS=str(volume))
    assert lost.code == 1
    assert "vouches for any entry: the file was removed, or MLOPS_AUDIT_CHECKPOINTS named another" in lost.err
    shutil.move(home / "audit", volume)
    found = warm.cli("audit", "--verify", cwd=project.root, home=home, MLOPS_AUDIT_CHECKPOINTS=str(volume))
    assert found.code == 0, found.err
    assert not (home / "audit").exists()


def test_an_audit_needs_no_project_and_a_new_home_has_none(warm: Any, home: Path, tmp_path: Path) -> None:
    ended = warm.cli("audit", "--verify", cwd=tmp_path, home=home)
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[-1] == "0 entries, no checkpoint yet"


def test_a_gate_that_refused_is_on_record_with_what_it_measured(
    warm: Any, project: Any, home_with_champion: Path
) -> None:
    project.write_spec(evaluation={"thresholds": {"roc_auc": {"min": 0.999}}})
    ran = warm.cli("run", "tumour", "--as-of", project.as_of, cwd=project.root, home=home_with_champion)
    assert ran.code == 1
    entries = warm.cli("audit", "--json", cwd=project.root, home=home_with_champion).json["entries"]
    refused = [entry["reason"] for entry in entries if entry["action"] == "refuse"]
    assert any(said.startswith("gate metric_thresholds refused") for said in refused), entries
    assert any("breaks ≥ 0.999" in said for said in refused)
