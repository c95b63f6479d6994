"""What clients may send and what they get back, over HTTP from a gateway process."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.data.columns import to_declared_types
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.records import Schema
from mlops_assets.prediction_log.segments import Loss, segments_in
from mlops_assets_tests.serving.visits_requests import INFER, INVOCATIONS, VISITS, columns_of, oip


def oip_nested(rows: list[dict[str, Any]]) -> dict[str, Any]:
    body = oip(rows)
    for tensor in body["inputs"]:
        tensor |= {"shape": [len(rows), 1], "data": [[value] for value in tensor["data"]]}
    return body


def _split(rows: list[dict[str, Any]]) -> dict[str, Any]:
    data = [list(row.values()) for row in rows]
    return {"dataframe_split": {"index": [7, 8, 9], "columns": list(rows[0]), "data": data}}


FORMS: dict[str, tuple[str, Callable[[list[dict[str, Any]]], dict[str, Any]]]] = {
    "oip": (INFER, oip),
    "oip, two dimensions": (INFER, oip_nested),
    "oip, other column order": (INFER, lambda rows: {"inputs": oip(rows)["inputs"][::-1]}),
    "dataframe_split": (INVOCATIONS, _split),
    "dataframe_records": (INVOCATIONS, lambda rows: {"dataframe_records": rows}),
    "inputs, columns": (INVOCATIONS, lambda rows: {"inputs": columns_of(rows)}),
    "inputs, records": (INVOCATIONS, lambda rows: {"inputs": rows}),
    "instances, columns": (INVOCATIONS, lambda rows: {"instances": columns_of(rows)}),
    "instances, records": (INVOCATIONS, lambda rows: {"instances": rows}),
}


def _answered(answer: dict[str, Any]) -> tuple[list[float], list[str], str, str]:
    """Return predictions, prediction ids, model and version of either protocol's answer."""
    if "outputs" in answer:
        ids = answer["parameters"]["prediction_ids"]
        return answer["outputs"][0]["data"], ids, answer["model_name"], answer["model_version"]
    return answer["predictions"], answer["prediction_ids"], answer["model"], answer["version"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gets_the_offline_predictions(served: Any, fleet: Any, form: str) -> None:
    path, body = FORMS[form]
    answer = served.http.post(path, json=body(VISITS))
    assert answer.status_code == 200, answer.text
    predictions, ids, model, version = _answered(answer.json())
    package = fleet.package(fleet.registry.version("visits", "1"))
    offline = package.predict(to_declared_types(pd.DataFrame(VISITS), package.manifest.inputs))
    assert predictions == offline.tolist()
    assert (model, version) == ("visits", "1")
    assert len(set(ids)) == len(VISITS)


def test_one_row_may_be_an_object_of_values(served: Any) -> None:
    answer = served.http.post(INVOCATIONS, json={"inputs": VISITS[0]}).json()
    assert len(answer["predictions"]) == len(answer["prediction_ids"]) == 1


def test_a_named_version_answers(served: Any) -> None:
    answer = served.http.post("/v2/models/visits/versions/1/infer", json=oip(VISITS)).json()
    assert answer["model_version"] == "1"


def test_the_request_id_comes_back(served: Any) -> None:
    answer = served.http.post(INFER, json=oip(VISITS) | {"id": "mine"}).json()
    assert answer["id"] == "mine"
    assert served.http.post(INFER, json=oip(VISITS)).json()["id"]


def test_what_was_answered_is_in_the_log(served: Any, fleet: Any) -> None:
    answer = served.http.post(INFER, json=oip(VISITS)).json()
    predictions, ids, *_ = _answered(answer)
    log = PredictionLog(fleet.home.prediction_log)
    records = [log.find(id_) for id_ in ids]
    assert [(r.model, r.version, r.output) for r in records if r] == [("visits", "1", p) for p in predictions]
    assert [r.event_time for r in records if r] == [
        datetime(2024, 3, 1, 10, 30),
        datetime(2024, 3, 2),
        datetime(2024, 3, 3, 23, 59, 59, 500_000),
    ]
    assert [r.inputs for r in records if r] == VISITS


def test_columns_in_any_order_are_logged_in_one(served: Any, fleet: Any) -> None:
    for turn in range(5):
        columns = [*VISITS[0]]
        row = {name: VISITS[0][name] for name in columns[turn:] + columns[:turn]}
        assert served.http.post(INFER, json=oip([row])).status_code == 200
    records = [each for segment in segments_in(fleet.home.prediction_log) for each in segment.records()]
    schemas = [each[0] for each in records if not isinstance(each, Loss) and isinstance(each[0], Schema)]
    orders = {schema.columns for schema in schemas if schema.model == "visits"}
    assert len(orders) == len({frozenset(order) for order in orders})


def test_times_with_a_zone_are_the_same_instant_in_utc(served: Any) -> None:
    def predicted(time: str) -> float:
        rows = [VISITS[0] | {"visited_at": time}]
        return float(served.http.post(INFER, json=oip(rows)).json()["outputs"][0]["data"][0])

    assert predicted("2024-03-01T10:30:00+02:00") == predicted("2024-03-01T08:30:00Z")
    assert predicted("2024-03-01T10:30:00+02:00") != predicted("2024-03-01T10:30:00")


@pytest.mark.parametrize("model", ["visits", "iris", "diabetes"])
def test_metadata_tells_how_to_ask_and_what_comes_back(served: Any, trainings: Any, model: str) -> None:
    described = served.http.get(f"/v2/models/{model}").json()
    assert described["parameters"]["champion"] == described["parameters"]["version"] == "1"
    rows = trainings[model].rows.iloc[:3]
    times = {c: rows[c].map(lambda t: t.isoformat()) for c in rows.select_dtypes("datetime")}
    rows = rows.assign(**times).astype(object)
    rows = rows.where(rows.notna(), None)
    inputs = [
        tensor | {"shape": [3], "data": rows[tensor["name"]].tolist()} for tensor in described["inputs"]
    ]
    answer = served.http.post(f"/v2/models/{model}/infer", json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    outputs = answer.json()["outputs"]
    assert [(o["name"], o["datatype"]) for o in outputs] == [
        (o["name"], o["datatype"]) for o in described["outputs"]
    ]
    for output, said in zip(outputs, described["outputs"], strict=True):
        assert output["shape"] == [3, *said["shape"][1:]]
        assert len(output["data"]) == np.prod(output["shape"])


def test_multiclass_answers_probabilities_and_labels(served: Any, trainings: Any) -> None:
    rows = trainings["iris"].rows
    answer = served.http.post("/models/iris/invocations", json={"instances": rows.to_dict("records")}).json()
    probabilities = np.array(answer["predictions"])
    assert probabilities.shape == (150, 3)
    assert np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)
    columns = [{"name": c, "datatype": "FP64", "shape": [150], "data": rows[c].tolist()} for c in rows]
    outputs = served.http.post("/v2/models/iris/infer", json={"inputs": columns}).json()["outputs"]
    assert outputs[0]["data"] == probabilities.ravel().tolist()
    names = ["setosa", "versicolor", "virginica"]
    assert outputs[1]["data"] == [names[i] for i in probabilities.argmax(axis=1)]


def test_pages_and_documents_answer(served: Any) -> None:
    assert served.http.get("/v2").json()["name"] == "mlops-assets"
    assert served.http.get("/v2/health/live").json() == {"live": True}
    ready = served.http.get("/v2/health/ready")
    assert ready.status_code == 200
    assert ready.json()["models"]["iris"] == {"champion": "1", "wanted": "1", "ready": True}
    assert served.http.get("/", headers={"accept": "text/html"}).headers["location"] == "/fleet"
    assert served.http.get("/").json() == {"status": "alive"}
    page = served.http.get("/fleet")
    assert page.headers["content-type"].startswith("text/html")
    assert "diabetes" in page.text
    records = served.http.get("/fleet", headers={"accept": "application/json"}).json()
    assert {r["model"] for r in records["models"]} >= {"diabetes", "iris", "visits"}
    assert all(r["as_ordered"] for r in records["models"])
    assert records["problems"] == []


def test_openapi_names_exactly_the_routes_there_are(served: Any, gateway_in_process: Any, fleet: Any) -> None:
    documented = {
        (method.upper(), path)
        for path, operations in served.http.get("/openapi.json").json()["paths"].items()
        for method in operations
    }
    with gateway_in_process(fleet) as inside:
        routes = {
            (method, route.path)
            for route in inside.gateway.app().routes
            for method in route.methods - {"HEAD"}
        }
    assert documented == routes
