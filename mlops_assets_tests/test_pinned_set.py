"""The pinned set works together: every library we depend on, imported and used once in one process."""

import json
import os
import tomllib
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]

os.environ.setdefault("DO_NOT_TRACK", "1")


@pytest.fixture(scope="module")
def frame() -> Any:
    import pandas as pd

    generator = np.random.default_rng(0)
    x = generator.normal(size=200)
    return pd.DataFrame({"x": x, "word": generator.choice(["a", "b"], 200), "y": (x > 0).astype(int)})


def test_the_constraints_pin_what_is_installed_and_no_host() -> None:
    text = (ROOT / "constraints.txt").read_text()
    pinned = dict(line.split("==") for line in text.splitlines() if "==" in line and not line.startswith("#"))
    normal = {name.lower().replace("_", "-"): pin for name, pin in pinned.items()}
    for name in ("pandas", "numpy", "scikit-learn", "mlflow", "dagster", "evidently", "great-expectations"):
        assert normal[name] == version(name)
    assert "://" not in text
    assert "--index" not in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        name = requirement.split(";")[0].strip()
        for sign in ("==", ">=", "<", "~"):
            name = name.split(sign)[0]
        assert name.strip().lower().replace("_", "-") in normal, f"{name} is not pinned"


def test_numpy_and_scipy() -> None:
    from scipy import stats

    assert stats.ks_2samp(np.arange(50), np.arange(50)).pvalue == 1.0


def test_scikit_learn_and_shap(frame: Any) -> None:
    import shap
    from sklearn.ensemble import HistGradientBoostingClassifier

    x = frame[["x"]].to_numpy()
    model = HistGradientBoostingClassifier(max_iter=5).fit(x, frame["y"])
    found = shap.TreeExplainer(model)(x)
    total = found.values.sum(axis=1) + found.base_values
    np.testing.assert_allclose(total, model.decision_function(x), atol=1e-9)


def test_pandas_and_pyarrow(frame: Any, tmp_path: Path) -> None:
    import pandas as pd
    import pyarrow.parquet as pq

    frame.to_parquet(tmp_path / "f.parquet", compression="zstd")
    assert pq.read_metadata(tmp_path / "f.parquet").num_rows == 200
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "f.parquet"), frame)


def test_duckdb_and_sqlalchemy(frame: Any, tmp_path: Path) -> None:
    import duckdb
    import pandas as pd
    import sqlalchemy as sa

    with duckdb.connect(str(tmp_path / "d.duckdb")) as connection:
        connection.register("given", frame)
        connection.execute("CREATE TABLE t AS SELECT * FROM given")
    engine = sa.create_engine(f"duckdb:///{tmp_path / 'd.duckdb'}")
    with engine.connect() as connection:
        found = pd.read_sql(sa.text("SELECT word, sum(y) AS n FROM t GROUP BY word"), connection)
    engine.dispose()
    assert found["n"].sum() == frame["y"].sum()


def test_scikit_learn_skl2onnx_and_onnxruntime(frame: Any) -> None:
    import onnxruntime
    from skl2onnx import to_onnx
    from sklearn.ensemble import HistGradientBoostingClassifier

    x = frame[["x"]].to_numpy(dtype="float32")
    model = HistGradientBoostingClassifier(max_iter=5).fit(x, frame["y"])
    graph = to_onnx(model, x[:1], options={"zipmap": False})
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    answered = session.run(None, {session.get_inputs()[0].name: x})[1]
    np.testing.assert_allclose(answered, model.predict_proba(x), atol=1e-5)


def test_great_expectations(frame: Any) -> None:
    import great_expectations as gx

    batch = (
        gx.get_context(mode="ephemeral").data_sources.add_pandas("s").add_dataframe_asset("a")
        .add_batch_definition_whole_dataframe("b").get_batch({"dataframe": frame.astype({"word": object})})
    )  # fmt: skip
    expectation = gx.expectations.ExpectColumnValuesToBeInSet(column="word", value_set=["a"])
    assert batch.validate(expectation).result["unexpected_count"] == (frame["word"] == "b").sum()


def test_evidently(frame: Any) -> None:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    definition = DataDefinition(numerical_columns=["x"])
    data = Dataset.from_pandas(frame[["x"]], data_definition=definition)
    found = Report([DataDriftPreset()]).run(data, data).dict()["metrics"]
    assert next(m["value"] for m in found if m["config"].get("column") == "x") == 1.0


def test_mlflow(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'm.db'}", f"sqlite:///{tmp_path / 'm.db'}")
    run = client.create_run(client.create_experiment("e", artifact_location=(tmp_path / "a").as_uri()))
    client.log_metric(run.info.run_id, "auc", 0.7)
    assert client.get_run(run.info.run_id).data.metrics == {"auc": 0.7}


def test_apprise() -> None:
    import apprise

    service = apprise.Apprise()
    assert service.add("json://127.0.0.1/hook")
    assert not service.add("nonsense")
    assert len(service) == 1


def test_pyjwt() -> None:
    import jwt
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    key = generate_private_key(SECP256R1())
    token = jwt.encode({"sub": "somebody"}, key, "ES256")
    assert jwt.decode(token, key.public_key(), ["ES256"]) == {"sub": "somebody"}


def test_cloudpickle_and_cryptography() -> None:
    import pickle

    import cloudpickle
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    payload = cloudpickle.dumps(lambda x: x + 1)
    key.public_key().verify(key.sign(payload), payload)
    assert pickle.loads(payload)(1) == 2


def test_matplotlib(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2])
    figure.savefig(tmp_path / "f.png")
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_dagster_and_its_webserver() -> None:
    import dagster as dg

    @dg.asset
    def one() -> int:
        return 1

    assert dg.materialize([one], instance=dg.DagsterInstance.ephemeral()).output_for_node("one") == 1
    assert version("dagster-webserver") == version("dagster")


def test_dagster_on_kubernetes_and_postgresql() -> None:
    k8s = pytest.importorskip("dagster_k8s")
    postgres = pytest.importorskip("dagster_postgres")
    assert k8s.K8sRunLauncher.config_type()
    assert postgres.PostgresRunStorage.config_type()


def test_the_gateways_libraries() -> None:
    import httptools
    import httpx
    import orjson
    import prometheus_client
    import uvicorn
    import uvloop
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    counter = prometheus_client.Counter("pinned_set", "x", registry=prometheus_client.CollectorRegistry())

    async def answer(_: Request) -> Response:
        counter.inc()
        return Response(orjson.dumps({"x": 0.5, "at": datetime(2024, 1, 1, tzinfo=UTC)}))

    async def ask() -> Any:
        transport = httpx.ASGITransport(Starlette(routes=[Route("/", answer)]))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return (await client.get("/")).json()

    assert uvloop.run(ask()) == {"x": 0.5, "at": "2024-01-01T00:00:00+00:00"}
    assert uvicorn.Config(answer, loop="uvloop", http="httptools").http == "httptools"
    assert httptools.HttpRequestParser


def test_the_command_lines_libraries(tmp_path: Path) -> None:
    import typer
    import yaml
    from pydantic import BaseModel
    from rich.console import Console
    from typer.testing import CliRunner

    class Model(BaseModel):
        n: int

    app = typer.Typer()

    @app.command()
    def command(n: int) -> None:
        Console().print(Model.model_validate(yaml.safe_load(f"n: {n}")).model_dump_json())

    found = CliRunner().invoke(app, ["3"])
    assert json.loads(found.stdout) == {"n": 3}


def test_the_demos_flights_are_there() -> None:
    from mlops_assets.defs.flight_delay.source import load

    rows = load(datetime(2013, 1, 1), datetime(2013, 1, 2))
    assert len(rows) > 800
    assert set(rows["late"]) == {0, 1}
