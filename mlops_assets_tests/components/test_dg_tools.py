"""Dagster's own tools on this project: ``dg``, and plain ``dagster`` with ``workspace.yaml``."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mlops_assets.monitoring.assessment.record import CHECKS
from mlops_assets.specs.gate_rules import Gates

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return os.environ | {"MLOPS_HOME": str(tmp_path), "DAGSTER_HOME": str(tmp_path / "dagster")}


def run(environment: dict[str, str], module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [sys.executable, "-c", f"from {module} import main; main()", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("what", ["yaml", "defs"])
def test_dg_check(what: str, environment: dict[str, str]) -> None:
    done = run(environment, "dagster_dg_cli.cli", "check", what)
    assert "successfully" in done.stdout + done.stderr


def test_dg_lists_the_components(environment: dict[str, str]) -> None:
    listed = run(environment, "dagster_dg_cli.cli", "list", "components").stdout
    assert "mlops_assets.ModelLifecycle" in listed
    assert "mlops_assets.FleetAutomation" in listed


def test_dg_lists_the_fleet_with_its_owners_and_gates(environment: dict[str, str]) -> None:
    # Stdout alone: dg warns on stderr where a .venv lies in the project and isn't the activated one.
    listed = json.loads(run(environment, "dagster_dg_cli.cli", "list", "defs", "--json").stdout)
    assets = {tuple(a["asset_key_parts"]): a for a in listed["assets"]}
    assert ("flight_delay", "deployed_endpoint") in assets
    assert all(a["kinds"] and a["description"] for a in assets.values())
    # What all models share is nobody's model.
    assert {key for key, asset in assets.items() if not asset["owners"]} == {("fleet", "prediction_log")}
    gates = {c["key"].partition(":")[2] for c in listed["asset_checks"]}
    assert gates == {*Gates.model_fields, "approvals", "nothing_lost", *CHECKS}
    jobs = {"lifecycle", "monitor_month", "decide", "compact_prediction_log", "drill"}
    assert {j["name"] for j in listed["jobs"]} == jobs


def test_plain_dagster_loads_the_workspace_file(environment: dict[str, str]) -> None:
    # The very loading that `dagster dev -w` does, in a code server of its own.
    done = run(environment, "dagster._cli", "definitions", "validate", "-w", "workspace.yaml")
    assert "Validation successful for code location mlops_assets" in done.stdout + done.stderr


def test_nothing_in_pyproject_makes_dagster_ignore_the_workspace_file() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert not {"dg", "dagster"} & set(tools)
