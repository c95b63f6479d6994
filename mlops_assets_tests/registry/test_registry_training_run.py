"""A candidate's MLflow run: all of it or not finished, found again, and loadable by plain MLflow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.errors import DataError, PackageError
from mlops_assets.governance.signatures import Signer
from mlops_assets.home import Home
from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets.registry.training_run import (
    TrainingRun,
    find_finished,
    log_metrics,
    log_monitoring,
    log_training,
)
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.training.package import PackagedModel

MakeSpec = Callable[..., ModelSpec]
MakeRows = Callable[..., pd.DataFrame]
MakePackage = Callable[..., PackagedModel]
LogRun = Callable[..., TrainingRun]


@pytest.fixture
def rows(make_rows: MakeRows) -> pd.DataFrame:
    return make_rows()


@pytest.fixture
def log_run(
    registry: MlflowRegistry, model: str, make_spec: MakeSpec, rows: pd.DataFrame, make_package: MakePackage
) -> LogRun:
    spec = make_spec(name=model, data={"features": ["a", "b"]})

    def log(recipe: str, **changes: Any) -> TrainingRun:
        given: dict[str, Any] = {
            "name": "a run",
            "params": {"C": 1.0, "long": "x" * 9000},
            "metrics": {"rows_trained": 200.0},
            "tags": {"mlops.data": "d" * 64},
            "example": rows[["a", "b"]].head(5),
            "write": lambda folder: make_package(spec, rows, folder=folder),
        }
        return log_training(registry, model, recipe, **{**given, **changes})

    return log


def runs(registry: MlflowRegistry, model: str) -> dict[str, str]:
    found = registry.client.search_runs([registry.experiment(model)])
    return {run.info.run_id: run.info.status for run in found}


def test_a_finished_run_has_all_of_its_parts_and_is_found_again(
    registry: MlflowRegistry, model: str, log_run: LogRun, signer: Signer, rows: pd.DataFrame
) -> None:
    assert find_finished(registry, model, "r1") is None
    made = log_run("r1")
    assert find_finished(registry, model, "r1") == made
    assert find_finished(registry, model, "r2") is None
    run = registry.client.get_run(made.run_id)
    assert run.data.params["C"] == "1.0"
    assert run.data.metrics == {"rows_trained": 200.0}
    assert run.data.tags["mlops.data"] == "d" * 64
    package = PackagedModel.open(registry.fetch_run_package(made.run_id), signer.verifier)
    assert package.predict(rows.head(2)).shape == (2,)


def test_a_write_that_fails_keeps_its_own_words_and_leaves_nothing_that_looks_finished(
    registry: MlflowRegistry, model: str, log_run: LogRun
) -> None:
    def fail(folder: Path) -> PackagedModel:
        raise DataError("the feature function failed")

    with pytest.raises(DataError, match="the feature function failed"):
        log_run("r1", write=fail)
    assert find_finished(registry, model, "r1") is None
    assert "FINISHED" not in runs(registry, model).values()


@pytest.mark.parametrize("step", ["log_artifacts", "log_batch", "set_terminated"])
def test_a_kill_at_any_step_is_mended_by_running_again(
    registry: MlflowRegistry, model: str, log_run: LogRun, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def killed(*args: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(registry.client, step, killed)
        with pytest.raises(KeyboardInterrupt):
            log_run("r1")
    assert list(runs(registry, model).values()) == ["RUNNING"]
    assert find_finished(registry, model, "r1") is None
    assert list(runs(registry, model).values()) == ["KILLED"]
    made = log_run("r1")
    assert find_finished(registry, model, "r1") == made


def test_plain_mlflow_loads_what_the_gateway_serves(
    registry: MlflowRegistry,
    model: str,
    log_run: LogRun,
    rows: pd.DataFrame,
    home: Home,
    signer: Signer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import mlflow
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    made = log_run("r1")
    version = registry.register(model, made.run_id, "a" * 64, {})
    monkeypatch.setenv("MLOPS_HOME", str(home.root))
    public = signer.verifier._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    monkeypatch.setenv("MLOPS_VERIFY_KEY", public.decode())
    mlflow.set_tracking_uri(registry.uri)
    loaded = mlflow.pyfunc.load_model(f"models:/{model}/{version.version}")
    asked = rows[["a", "b"]].head(20)
    expected = PackagedModel.open(registry.fetch_package(version), signer.verifier).predict(asked)
    np.testing.assert_array_equal(loaded.predict(asked), expected)
    assert {c.name for c in loaded.metadata.get_input_schema()} == {"a", "b"}
    monkeypatch.delenv("MLOPS_VERIFY_KEY")
    with pytest.raises(PackageError, match="not signed with the platform key"):
        mlflow.pyfunc.load_model(f"models:/{model}/{version.version}")


def test_figures_that_are_no_numbers_can_be_logged(
    registry: MlflowRegistry, model: str, log_run: LogRun
) -> None:
    made = log_run("r1")
    log_metrics(registry, made.run_id, {"roc_auc": float("nan"), "brier": 0.2})
    assert registry.client.get_run(made.run_id).data.metrics["brier"] == 0.2


def test_a_monitoring_window_is_a_run_with_its_report(
    registry: MlflowRegistry, model: str, tmp_path: Path
) -> None:
    (tmp_path / "report.html").write_text("<html></html>")
    for report in (tmp_path / "report.html", tmp_path / "gone.html", None):
        run = log_monitoring(registry, model, str(report), name="day", metrics={"served": 5.0}, report=report)
        files = [f.path for f in registry.client.list_artifacts(run.run_id)]
        assert files == (["report.html"] if report and report.exists() else [])
    assert set(runs(registry, model).values()) == {"FINISHED"}


def test_a_window_that_is_looked_at_again_is_no_second_run(registry: MlflowRegistry, model: str) -> None:
    def log(found: str, served: float) -> TrainingRun:
        return log_monitoring(registry, model, found, name="day", metrics={"served": served}, report=None)

    first = log("a", 5.0)
    assert log("a", 5.0) == first
    assert log("b", 6.0) != first
    assert len(runs(registry, model)) == 2
