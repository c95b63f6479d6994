"""A model leaves the platform as a folder that needs nothing of it, and answers as it did there."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlops_assets.digests import of_bytes
from mlops_assets.edge.folder import Export, export
from mlops_assets.edge.quantisation import measure_loss, quantised
from mlops_assets.errors import AccuracyLost, ExportError
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.home import Home
from mlops_assets.specs.data_spec import Column
from mlops_assets.specs.tasks import Limit
from mlops_assets_tests.environments import nothing_declared
from mlops_assets_tests.fleets import Fleet, Training, diabetes, iris, serve, visits
from mlops_assets_tests.scorings import Desk

AT = datetime(2026, 1, 2, 3, 4, 5)


def tumours(name: str, estimator: Any, **changes: Any) -> Training:
    data = load_breast_cancer(as_frame=True)
    names = [column.replace(" ", "_") for column in data.data]
    frame = data.data.set_axis(names, axis=1).assign(benign=data.target)
    inputs = tuple(Column(name=column, **changes) for column in names)
    return Training(name, "binary_classification", frame, inputs, "benign", estimator)


@pytest.fixture(scope="module", autouse=True)
def _no_other_registry() -> Iterator[None]:
    with nothing_declared():
        yield


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("edge")
    fleet = Fleet(Home(folder / "home"))
    net = make_pipeline(StandardScaler(), MLPClassifier((32, 32), max_iter=300, random_state=0))
    forest = RandomForestClassifier(20, random_state=0)
    trainings = (iris(), diabetes(), visits(), tumours("net", net), tumours("forest", forest))
    for training in (*trainings, tumours("private", forest, sensitive=True)):
        fleet.promote(training.model, fleet.add(training).version)
    fleet.promote("unconverted", fleet.add(replace(iris(), model="unconverted"), onnx=False).version)
    return Desk(fleet, folder / "packages")


def exported(desk: Desk, model: str, folder: Path, **options: Any) -> Export:
    return export(desk.proven(model), folder, desk.fleet.signer, actor="tests", at=AT, **options)


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True
    )


def answers(folder: Path, rows: Path) -> pd.DataFrame:
    done = run(folder, "predict.py", str(rows))
    assert done.returncode == 0, done.stderr
    (folder.parent / "answers.csv").write_text(done.stdout)
    return pd.read_csv(folder.parent / "answers.csv", float_precision="round_trip")


@pytest.mark.parametrize("model", ["iris", "diabetes", "net", "forest"])
def test_online_in_batch_and_on_the_edge_a_model_answers_alike(
    desk: Desk, online: GatewayClient, model: str, tmp_path: Path
) -> None:
    rows = desk.proven(model).resident.package.reference()
    names = [column.name for column in desk.proven(model).resident.package.manifest.inputs]
    rows[names].to_csv(tmp_path / "rows.csv", index=False)
    exported(desk, model, tmp_path / "export")
    desk.score(model, tmp_path / "rows.csv", tmp_path / "scored.parquet")
    of_batch, of_edge = (
        pd.read_parquet(tmp_path / "scored.parquet"),
        answers(tmp_path / "export", tmp_path / "rows.csv"),
    )
    answered = online.infer(model, rows[names]).predictions.reshape(len(rows), -1)
    for place, name in enumerate(of_edge):
        assert np.abs(of_batch[name].to_numpy() - answered[:, place]).max() <= 1e-9
        assert np.abs(of_edge[name].to_numpy() - answered[:, place]).max() <= 1e-9
        assert np.abs(rows[name].to_numpy(dtype="float64") - answered[:, place]).max() <= 1e-9


@pytest.fixture(scope="module")
def online(desk: Desk) -> Iterator[GatewayClient]:
    with serve(desk.fleet) as served:
        client = GatewayClient(served.url)
        for model in ("iris", "diabetes", "net", "forest"):
            client.wait_for_version(model, "1", timeout=60)
        yield client


def test_a_folder_checks_itself_and_loads_nothing_but_onnxruntime_and_numpy(
    desk: Desk, tmp_path: Path
) -> None:
    exported(desk, "iris", folder := tmp_path / "export")
    assert run(folder, "check.py").returncode == 0
    foreign = "mlops_assets", "pandas", "sklearn", "onnx", "scipy", "pyarrow", "skl2onnx"
    code = f"import sys, predict; print([n for n in {foreign!r} if n in sys.modules])"
    assert run(folder, "-c", code).stdout.strip() == "[]"
    text = (folder / "reference.csv").read_text()
    (folder / "reference.csv").write_text(text.replace("5.1,3.5", "5.2,3.5", 1))
    done = run(folder, "check.py")
    assert done.returncode == 1
    assert "largest difference" in done.stdout


def test_the_example_in_its_readme_answers_what_the_first_reference_row_says(
    desk: Desk, tmp_path: Path
) -> None:
    exported(desk, "forest", folder := tmp_path / "export")
    _, _, example = (folder / "README.md").read_text().partition("```python\n")
    done = run(folder, "-c", example.partition("```")[0])
    assert done.returncode == 0, done.stderr
    expected = pd.read_csv(folder / "reference.csv", float_precision="round_trip").iloc[0, -1]
    (said,) = re.findall(r"([0-9.e+-]+)\]\]", done.stdout)
    assert float(said) == pytest.approx(expected, abs=1e-6)


def test_an_export_says_where_it_is_from_and_nobody_alters_it_unnoticed(desk: Desk, tmp_path: Path) -> None:
    seen: list[Export] = []
    made = exported(desk, "forest", folder := tmp_path / "export", deliver=seen.append)
    assert seen == [made]
    manifest = (folder / "manifest.json").read_bytes()
    assert desk.fleet.signer.verifier.verify(manifest, (folder / "manifest.sig").read_bytes())
    assert made.manifest_digest == of_bytes(manifest)
    told = json.loads(manifest)
    proven = desk.proven("forest")
    assert (told["model"], told["version"], told["precision"]) == ("forest", "1", "float32")
    assert told["candidate"] == proven.resident.package.digest
    assert told["evidence"] == proven.resident.evidence.digest
    assert told["exported_at"] == "2026-01-02T03:04:05Z"
    left = {file.name: of_bytes(file.read_bytes()) for file in folder.iterdir()}
    assert told["files"] == {k: v for k, v in left.items() if not k.startswith("manifest")}
    assert (folder / "model.onnx").read_bytes() == proven.resident.package.onnx


def test_sensitive_values_of_people_do_not_leave(desk: Desk, tmp_path: Path) -> None:
    exported(desk, "private", folder := tmp_path / "export")
    rows = pd.read_csv(folder / "reference.csv")
    inputs = [name for name in rows if not name.startswith("expected_")]
    assert (rows[inputs].nunique() == 1).all()
    assert "which is sensitive, has the same value in all" in (folder / "README.md").read_text()
    assert run(folder, "check.py").returncode == 0


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("visits", {}, "visits version 1 computes its features by the function compute, which needs"),
        ("unconverted", {}, r"unconverted version 1 has no ONNX form \(native: as asked\)"),
        ("forest", {"int8": True}, "has no matrix products, only .*TreeEnsembleClassifier"),
        ("iris", {"int8": True}, "has no matrix products, only .*LinearClassifier"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_its_reason(
    desk: Desk, model: str, options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=said):
        exported(desk, model, tmp_path / "export", **options)
    assert list(tmp_path.iterdir()) == []


def test_an_export_never_goes_over_what_is_there(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    exported(desk, "iris", tmp_path / "export")
    with pytest.raises(ExportError, match="is there already"):
        exported(desk, "iris", tmp_path / "export")
    with pytest.raises(ExportError, match="is there already"):
        exported(desk, "iris", tmp_path / "export" / "model.onnx")


def test_a_net_in_8_bits_is_smaller_near_enough_and_told_as_such(desk: Desk, tmp_path: Path) -> None:
    made = exported(desk, "net", folder := tmp_path / "export", int8=True, limit=0.2)
    assert made.loss is not None
    assert made.loss.bytes[1] < made.loss.bytes[0] / 1.5
    assert 0 < made.loss.difference <= 0.2
    assert made.precision == "int8"
    assert run(folder, "check.py").returncode == 0
    assert "predictions differ by at most" in (folder / "README.md").read_text()


def test_a_net_that_8_bits_change_too_much_is_refused_with_the_figures(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(
        AccuracyLost, match=r"a prediction differs by 0\.\d+, more than 1e-06; export it without"
    ):
        exported(desk, "net", tmp_path / "export", int8=True, limit=1e-6)
    assert list(tmp_path.iterdir()) == []


def test_8_bits_have_to_keep_the_thresholds_of_the_spec(desk: Desk) -> None:
    package = desk.proven("net").resident.package
    smaller, reference = quantised(package.onnx), package.reference()
    given = (package.onnx, smaller, package.manifest, reference)
    loss = measure_loss(*given, {"log_loss": Limit(max=1.0)}, 1.0)
    before, after = loss.metrics["log_loss"]
    assert before != after
    low, high = sorted((before, after))
    between = Limit(max=(low + high) / 2) if before < after else Limit(min=(low + high) / 2)
    with pytest.raises(AccuracyLost, match=r"log_loss \S+, served \S+; export it without --int8"):
        measure_loss(*given, {"log_loss": between}, 1.0)
