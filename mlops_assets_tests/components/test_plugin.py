"""The wheel in another, empty Dagster project: its component is found, scaffolded, checked and run."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.monitoring.assessment.record import CHECKS
from mlops_assets.specs.gate_rules import Gates

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "mlops_assets" / "governance" / "templates"
STAGES = (
    "raw_data",
    "validated_features",
    "trained_model",
    "evaluation",
    "registered_version",
    "deployed_endpoint",
    "monitoring_report",
)
MODELS = {"churn": "binary_classification", "grade": "multiclass_classification", "price": "regression"}

pytestmark = pytest.mark.slow

# What `create-dagster project` lays out, without its comments.
_PYPROJECT = """\
[project]
name = "shop"
version = "0.1.0"
requires-python = ">=3.11,<3.14"
dependencies = ["dagster", "mlops-assets"]

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "shop"
"""
_DEFINITIONS = """\
from pathlib import Path

from dagster import definitions, load_from_defs_folder


@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
"""


@dataclass(frozen=True)
class Shop:
    """A Dagster project in an environment of its own, into which the wheel is installed."""

    root: Path
    environment: Path
    home: Path

    @property
    def python(self) -> Path:
        return self.environment / "bin" / "python"

    def run(self, *command: str | Path) -> "subprocess.CompletedProcess[str]":
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "MLFLOW_", "PYTHON"))}
        return subprocess.run(
            list(map(str, command)),
            cwd=self.root,
            env=clean
            | {
                "VIRTUAL_ENV": str(self.environment),
                "PATH": f"{self.environment / 'bin'}:{os.defpath}",
                "MLOPS_HOME": str(self.home),
                "DAGSTER_HOME": str(self.home / "dagster"),
                "DAGSTER_DISABLE_TELEMETRY": "1",
            },
            capture_output=True,
            text=True,
        )

    def succeed(self, *command: str | Path) -> str:
        done = self.run(*command)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def dg(self, *arguments: str) -> str:
        # The command itself lives in the environment that runs the tests.
        return self.succeed(self.python, "-c", "from dagster_dg_cli.cli import main; main()", *arguments)

    def cli(self, *arguments: str) -> str:
        return self.succeed(self.environment / "bin" / "mlops-assets", *arguments)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the working tree."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT],
        check=True,
        capture_output=True,
    )
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def shop(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """An empty project, with three models and the fleet's automation scaffolded by ``dg``."""
    base = tmp_path_factory.mktemp("shop")
    shop = Shop(root=base / "project", environment=base / "environment", home=base / "home")
    package = shop.root / "src" / "shop"
    (package / "defs").mkdir(parents=True)
    (shop.root / "pyproject.toml").write_text(_PYPROJECT)
    (package / "__init__.py").touch()
    (package / "defs" / "__init__.py").touch()
    (package / "definitions.py").write_text(_DEFINITIONS)
    (shop.home / "dagster").mkdir(parents=True)
    (shop.home / "dagster" / "dagster.yaml").touch()

    venv.create(shop.environment, symlinks=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", shop.python, "install", "--no-deps", "--no-index", wheel],
        check=True,
        capture_output=True,
    )
    # Dependencies come from the environment that runs the tests, after the wheel's own packages; the
    # editable install there is not seen, because it is a .pth file in a folder that is not a site.
    site = sysconfig.get_path("purelib", vars={"base": str(shop.environment)})
    (Path(site) / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n{shop.root / 'src'}\n")

    for name, task in MODELS.items():
        shop.dg("scaffold", "defs", "mlops_assets.ModelLifecycle", name, "--task", task)
    shop.dg("scaffold", "defs", "mlops_assets.FleetAutomation", "fleet")
    return shop


def test_the_wheel_holds_the_package_its_specs_and_its_types_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
    assert {
        "mlops_assets/py.typed",
        "mlops_assets/defs/fleet/defs.yaml",
        "mlops_assets/defs/flight_delay/defs.yaml",
        "mlops_assets/defs/flight_delay/source.py",
        *(f"mlops_assets/governance/templates/{file.name}" for file in TEMPLATES.iterdir()),
    } <= names
    assert {n.partition("/")[0].partition("-")[0] for n in names} == {"mlops_assets"}
    assert not any("test" in n for n in names)


def test_what_is_imported_is_the_wheel(shop: Shop) -> None:
    found = shop.succeed(shop.python, "-c", "import mlops_assets; print(mlops_assets.__file__)")
    assert Path(found.strip()).is_relative_to(shop.environment)


def test_dg_lists_the_components_with_what_they_are_for(shop: Shop) -> None:
    listed = {c["key"]: c["summary"] for c in json.loads(shop.dg("list", "components", "--json"))["items"]}
    assert listed["mlops_assets.ModelLifecycle"].startswith("One model's road from raw data")
    assert listed["mlops_assets.FleetAutomation"].startswith("The schedules and the retraining sensor")


def test_what_was_scaffolded_passes_all_checks(shop: Shop) -> None:
    shop.dg("check", "yaml")
    shop.dg("check", "defs")
    report: dict[str, Any] = json.loads(shop.cli("check", "--json"))
    assert {m["name"] for m in report["models"]} == set(MODELS)
    assert report["problems"] == []


def test_dg_lists_every_stage_and_the_fleet_s_automation(shop: Shop) -> None:
    listed = json.loads(shop.dg("list", "defs", "--json"))
    stages = {f"{m}/{s}" for m in MODELS for s in STAGES}
    assert {a["asset_key"] for a in listed["assets"]} == {*stages, "fleet/prediction_log"}
    gates = [*Gates.model_fields, "approvals", *CHECKS]
    assert len(listed["asset_checks"]) == len(gates) * len(MODELS) + 1  # nothing of the log is lost
    assert sorted(s["name"] for s in listed["schedules"]) == [
        "compact_prediction_log",
        "drills",
        "monitoring_day",
    ]
    names = ["approvals", "batch_scoring", "incidents", "retraining", "rollouts"]
    assert sorted(s["name"] for s in listed["sensors"]) == names


def test_a_scaffolded_model_runs_as_it_is_to_its_endpoint(shop: Shop) -> None:
    outcome = json.loads(shop.cli("run", "churn", "--json"))
    assert outcome["success"]
    assert outcome["champion"] == 1
    (row,) = json.loads(shop.cli("status", "churn", "--json"))["models"]
    assert (row["model"], row["champion"]) == ("churn", "1")


def test_dg_launches_a_scaffolded_stage(shop: Shop) -> None:
    shop.dg("launch", "--assets", 'key:"price/raw_data"')
    assert list((shop.home / "snapshots" / "price").glob("*.parquet"))


def test_a_scaffold_that_cannot_be_made_says_why_in_one_line_and_leaves_nothing(shop: Shop) -> None:
    scaffold = ("scaffold", "defs", "mlops_assets.ModelLifecycle", "next_one")
    command = (shop.python, "-c", "from dagster_dg_cli.cli import main; main()", *scaffold)
    done = shop.run(*command, "--task", "regresion")
    assert done.returncode == 1
    assert "unknown task 'regresion' (did you mean 'regression'?)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (shop.root / "src" / "shop" / "defs" / "next_one").exists()
