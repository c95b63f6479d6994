"""What the registry's tests share: one real MLflow on SQLite, and versions in it."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_assets.home import Home
from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets.registry.port import ModelVersion

_number = itertools.count()

Register = Callable[..., ModelVersion]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def registry(home: Home) -> MlflowRegistry:
    """MLflow on a database of its own; each test uses a model of its own in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        made = MlflowRegistry(home)
    assert made.uri == f"sqlite:///{home.root / 'mlflow.db'}"
    return made


@pytest.fixture
def model() -> str:
    return f"model_{next(_number)}"


@pytest.fixture
def register(registry: MlflowRegistry, model: str, tmp_path: Path) -> Register:
    """Return a function that registers a candidate of an MLflow run, a fresh one unless it is named."""

    def make(candidate: str, run_id: str | None = None) -> ModelVersion:
        run_id = run_id or registry.client.create_run(registry.experiment(model)).info.run_id
        return registry.register(model, run_id, candidate, {"mlops.data": "d" * 8})

    return make
