"""The gateway's invocations and plain MLflow answer alike: every form, every task."""

from contextlib import closing
from typing import Any

import mlflow.pyfunc
import numpy as np
import orjson
import pytest
from mlflow.pyfunc import scoring_server

from mlops_assets.gateway_client import GatewayClient
from mlops_assets.registry.mlflow_registry import ARTIFACT_PATH
from mlops_assets_tests.serving.visits_requests import columns_of

MODELS = ("visits", "iris", "diabetes", "m")


def _split(rows: list[dict[str, Any]]) -> Any:
    return {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}


def _lists(rows: list[dict[str, Any]]) -> Any:
    return [list(row.values()) for row in rows]


FORMS: dict[str, Any] = {
    "dataframe_split": lambda rows: {"dataframe_split": _split(rows)},
    "dataframe_records": lambda rows: {"dataframe_records": rows},
    "inputs, columns": lambda rows: {"inputs": columns_of(rows)},
    "inputs, records": lambda rows: {"inputs": rows},
    "instances, columns": lambda rows: {"instances": columns_of(rows)},
    "instances, records": lambda rows: {"instances": rows},
}
LISTS: dict[str, Any] = {
    "inputs, lists": lambda rows: {"inputs": _lists(rows)},
    "instances, lists": lambda rows: {"instances": _lists(rows)},
}


@pytest.fixture(scope="module")
def rows(trainings: Any) -> dict[str, list[dict[str, Any]]]:
    """A few raw rows of each model, as JSON carries them."""
    found = {name: orjson.loads(t.rows.head(7).to_json(orient="records")) for name, t in trainings.items()}
    for name, time in zip(found["visits"], trainings["visits"].rows["visited_at"], strict=False):
        name["visited_at"] = time.isoformat()
    return {**found, "m": [{"x": 1.0}, {"x": 2.0}]}


@pytest.fixture(scope="module")
def all_serve(fleet: Any, served: Any) -> Any:
    """The gateway, where the model ``m`` has a champion, too."""
    fleet.promote("m", "1")
    with closing(GatewayClient(served.url)) as client:
        client.wait_for_champion("m", "1", timeout=30)
    return served


@pytest.fixture(scope="module")
def in_mlflow(fleet: Any, all_serve: Any) -> Any:
    """Return each model as plain MLflow loads it: what ``mlflow models serve`` would serve."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_HOME", str(fleet.home.root))
        patch.setenv("MLFLOW_TRACKING_URI", fleet.home.tracking_uri)

        def load(model: str) -> Any:
            run = fleet.registry.version(model, "1").run_id
            folder = fleet.registry.client.download_artifacts(run, ARTIFACT_PATH)
            return mlflow.pyfunc.load_model(folder)

        yield {model: load(model) for model in MODELS}


def _from_mlflow(model: Any, body: Any) -> Any:
    """Return what MLflow's scoring server answers to a request."""
    content = orjson.dumps(body)
    answer = scoring_server.invocations(content, "application/json", model, model.metadata.get_input_schema())
    assert answer.status == 200
    return orjson.loads(answer.response)["predictions"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_answered_as_mlflow_answers_it(
    served: Any, in_mlflow: Any, rows: Any, model: str, form: str
) -> None:
    body = FORMS[form](rows[model])
    answer = served.http.post(f"/models/{model}/invocations", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == _from_mlflow(in_mlflow[model], body)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("form", LISTS)
def test_rows_may_be_lists_in_the_order_of_the_signature(
    all_serve: Any, rows: Any, model: str, form: str
) -> None:
    expected = all_serve.http.post(f"/models/{model}/invocations", json={"inputs": rows[model]})
    answer = all_serve.http.post(f"/models/{model}/invocations", json=LISTS[form](rows[model]))
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == expected.json()["predictions"]


@pytest.mark.parametrize("form", ["inputs", "instances"])
def test_a_model_of_one_input_takes_its_values_alone(served: Any, in_mlflow: Any, form: str) -> None:
    body = {form: [1.0, 2.0, 3.0]}
    answer = served.http.post("/models/m/invocations", json=body)
    assert answer.json()["predictions"] == _from_mlflow(in_mlflow["m"], body) == [1.0, 1.0, 1.0]


def test_what_predictions_are_is_told_by_the_metadata(served: Any, in_mlflow: Any, rows: Any) -> None:
    """For more than two classes their probabilities, in the order of the metadata's classes."""
    classes = served.http.get("/v2/models/iris").json()["parameters"]["classes"]
    assert classes == ["setosa", "versicolor", "virginica"]
    predictions = np.array(_from_mlflow(in_mlflow["iris"], {"inputs": rows["iris"]}))
    assert predictions.shape == (7, 3)
    assert [classes[i] for i in predictions.argmax(axis=1)] == ["setosa"] * 7
    assert served.http.get("/v2/models/visits").json()["parameters"]["classes"] == [0, 1]
    assert served.http.get("/v2/models/diabetes").json()["parameters"]["classes"] == []
