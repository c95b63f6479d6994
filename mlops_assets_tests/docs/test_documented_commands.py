"""What the documents tell people to type works as it stands there."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from mlops_assets.gateway_process import running_gateway
from mlops_assets.home import Home
from mlops_assets_tests.fleets import Fleet, diabetes, serve
from mlops_assets_tests.whole_processes import clean_environment

ROOT = Path(__file__).parents[2]


def _blocks(document: str) -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```", (ROOT / document).read_text(), re.M | re.S)


@pytest.fixture
def empty_project(tmp_path: Path) -> Path:
    """A Dagster project with nothing in it but its settings."""
    defs = tmp_path / "acme" / "defs"
    defs.mkdir(parents=True)
    (tmp_path / "acme" / "__init__.py").touch()
    (defs / "__init__.py").touch()
    (tmp_path / "dg.toml").write_text('directory_type = "project"\n[project]\nroot_module = "acme"\n')
    return tmp_path


@pytest.mark.slow
def test_adding_a_model_works_as_written(empty_project: Path) -> None:
    script = "\n".join(_blocks("docs/how-to/add-a-model.md"))
    # The commands on the page find this interpreter's own.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLOPS_")} | {"PATH": path}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=empty_project,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "progression: version 1 is the champion (promoted now)" in done.stdout
    assert (empty_project / "acme" / "defs" / "progression" / "defs.yaml").exists()


@pytest.mark.slow
def test_the_tutorial_works_as_written(tmp_path: Path, warm_command: Path) -> None:
    home = Home(tmp_path / "home").prepare()
    environment = clean_environment() | home.environment()
    environment["PATH"] = os.pathsep.join(
        [str(warm_command), str(Path(sys.executable).parent), os.environ["PATH"]]
    )
    script = "\n".join(_blocks("docs/tutorial.md"))
    with mock.patch.dict(os.environ, environment, clear=True), running_gateway(home):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stdout + done.stderr
    said = re.sub(r"\s+", " ", done.stdout)
    for words in (
        "version 1 is the champion (promoted now)",
        "✗ gate champion_comparison: confidence of a gain",
        "exit code 1",
        "version 2 is the champion (promoted now)",
        "gates at the airport disagree",
    ):
        assert words in said, words


@pytest.mark.slow
def test_serving_works_as_written(tmp_path: Path) -> None:
    fleet = Fleet(Home(tmp_path / "home"))
    fleet.promote("progression", fleet.add(replace(diabetes(), model="progression")).version)
    environment = clean_environment() | {"MLOPS_HOME": str(fleet.home.root)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = "\n".join(_blocks("docs/how-to/serve.md"))
    with serve(fleet):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        '"datatype":"FP64"',
        '"prediction_ids":["',
        "mlflow: ",
        "tritonclient: [",
        "missing columns",
    ):
        assert words in done.stdout, words


def test_every_command_in_the_documents_exists() -> None:
    from typer.main import get_command

    from mlops_assets.cli.main import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    for document in (
        "README.md",
        "docs/tutorial.md",
        "docs/how-to/add-a-model.md",
        "docs/how-to/approve.md",
        "docs/how-to/audit.md",
        "docs/how-to/score.md",
        "docs/how-to/serve.md",
    ):
        used = set(re.findall(r"^\s*mlops-assets (\w+)", (ROOT / document).read_text(), re.M))
        assert used, document
        assert used <= known, document


def test_links_and_pictures_in_the_documents_exist() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name} links to {link}"
