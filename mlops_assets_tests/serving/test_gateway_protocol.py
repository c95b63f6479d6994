"""What clients may send and what they get back, over HTTP from a gateway process."""

import json
import socket
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pandas as pd
import pytest

from mlops_assets.data.columns import to_declared_types
from mlops_assets.monitoring.prediction_log import PredictionLog

VISITS = [
    {"device": "mobile", "visited_at": "2024-03-01T10:30:00", "member": True, "pages": 12, "spent": None},
    {"device": "desktop", "visited_at": "2024-03-02", "member": False, "pages": 3, "spent": 19.5},
    {"device": "tv", "visited_at": "2024-03-03T23:59:59.5Z", "member": 1, "pages": 30, "spent": 0},
]
INFER = "/v2/models/visits/infer"
INVOCATIONS = "/models/visits/invocations"

_TYPES = {
    "device": "BYTES",
    "visited_at": "BYTES",
    "member": "BOOL",
    "pages": "INT64",
    "spent": "FP64",
}


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _oip(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": name, "datatype": _TYPES[name], "shape": [len(data)], "data": data}
            for name, data in _columns(rows).items()
        ]
    }


def _oip_nested(rows: list[dict[str, Any]]) -> dict[str, Any]:
    body = _oip(rows)
    for tensor in body["inputs"]:
        tensor |= {"shape": [len(rows), 1], "data": [[value] for value in tensor["data"]]}
    return body


def _split(rows: list[dict[str, Any]]) -> dict[str, Any]:
    data = [list(row.values()) for row in rows]
    return {"dataframe_split": {"index": [7, 8, 9], "columns": list(rows[0]), "data": data}}


FORMS: dict[str, tuple[str, Callable[[list[dict[str, Any]]], dict[str, Any]]]] = {
    "oip": (INFER, _oip),
    "oip, two dimensions": (INFER, _oip_nested),
    "oip, other column order": (INFER, lambda rows: {"inputs": _oip(rows)["inputs"][::-1]}),
    "dataframe_split": (INVOCATIONS, _split),
    "dataframe_records": (INVOCATIONS, lambda rows: {"dataframe_records": rows}),
    "inputs, columns": (INVOCATIONS, lambda rows: {"inputs": _columns(rows)}),
    "inputs, records": (INVOCATIONS, lambda rows: {"inputs": rows}),
    "instances, columns": (INVOCATIONS, lambda rows: {"instances": _columns(rows)}),
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
    answer = served.http.post("/v2/models/visits/versions/1/infer", json=_oip(VISITS)).json()
    assert answer["model_version"] == "1"


def test_the_request_id_comes_back(served: Any) -> None:
    answer = served.http.post(INFER, json=_oip(VISITS) | {"id": "mine"}).json()
    assert answer["id"] == "mine"
    assert served.http.post(INFER, json=_oip(VISITS)).json()["id"]


def test_what_was_answered_is_in_the_log(served: Any, fleet: Any) -> None:
    answer = served.http.post(INFER, json=_oip(VISITS)).json()
    predictions, ids, *_ = _answered(answer)
    log = PredictionLog(fleet.home.prediction_log)
    try:
        records = [log.find(id_) for id_ in ids]
    finally:
        log.close()
    assert [(r["model"], r["version"], float(r["output"])) for r in records if r] == [
        ("visits", "1", p) for p in predictions
    ]
    assert [r["event_time"] for r in records if r] == [
        "2024-03-01T10:30:00",
        "2024-03-02T00:00:00",
        "2024-03-03T23:59:59.500000",
    ]
    assert [json.loads(r["inputs"]) for r in records if r] == VISITS


def test_times_with_a_zone_are_the_same_instant_in_utc(served: Any) -> None:
    def predicted(time: str) -> float:
        rows = [VISITS[0] | {"visited_at": time}]
        return float(served.http.post(INFER, json=_oip(rows)).json()["outputs"][0]["data"][0])

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


def _with(**values: Any) -> list[dict[str, Any]]:
    """Return the rows with a second row that is wrong."""
    return [VISITS[0], VISITS[1] | values]


BAD_ROWS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "text for a number": (_with(spent="much"), "column 'spent', row 1: 'much' is not a number"),
    "boolean for a number": (_with(spent=True), "column 'spent', row 1: True is not a number"),
    "digits as text": (_with(pages="3"), "column 'pages', row 1: '3' is not an integer"),
    "half an integer": (_with(pages=3.5), "column 'pages', row 1: 3.5 is not an integer"),
    "too large": (_with(spent=1e39), "column 'spent', row 1: 1e+39 is larger than a model can take"),
    "integer beyond 64 bits": (_with(pages=10**60), "column 'pages', row 1: 1e+60 is larger"),
    "number for text": (_with(device=5), "column 'device', row 1: 5 is not a string"),
    "number for a boolean": (_with(member=2), "column 'member', row 1: 2 is not a boolean"),
    "text for a boolean": (_with(member="true"), "column 'member', row 1: 'true' is not a boolean"),
    "no such day": (_with(visited_at="2024-02-30"), "column 'visited_at', row 1: '2024-02-30' is not a d"),
    "seconds for a time": (_with(visited_at=1700000000), "column 'visited_at', row 1: 1700000000 is not a d"),
    "a word for a time": (_with(visited_at="now"), "column 'visited_at', row 1: 'now' is not a datetime"),
    "a time beyond time": (
        _with(visited_at="9999-12-31T23:59:59-23:00"),
        "column 'visited_at', row 1: '9999",
    ),
    "null": (_with(pages=None), "column 'pages', row 1: a value is required"),
    "list": (_with(pages=[1, 2]), "column 'pages', row 1: one value expected, not several"),
    "object": (_with(pages={"n": 1}), "column 'pages', row 1: one value expected, not several"),
    "long text": (_with(spent="x" * 100_000), "column 'spent', row 1: 'xxx"),
    "unknown column": (
        [row | {"devise": "tv"} for row in VISITS],
        "unknown columns: 'devise' (did you mean 'device'?)",
    ),
    "misspelt column": (
        [{"devise": "tv", **{k: v for k, v in row.items() if k != "device"}} for row in VISITS],
        "missing columns: device; unknown columns: 'devise' (did you mean 'device'?)",
    ),
    "many unknown columns": (
        [VISITS[0] | {f"column_{i}": 1 for i in range(2_000)}],
        "and 1,995 more",
    ),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_each_bad_value_is_named(served: Any, case: str) -> None:
    rows, words = BAD_ROWS[case]
    answer = served.http.post(INVOCATIONS, json={"dataframe_records": rows})
    assert answer.status_code == 400
    body = answer.json()
    assert words in body["error"]
    assert len(body["error"]) < 700
    assert (body["model"], body["version"]) == ("visits", "1")


def _tensor(**changes: Any) -> dict[str, Any]:
    body = _oip(VISITS)
    body["inputs"][3] |= changes
    return body


BAD_BODIES: dict[str, tuple[str, Any, int, str]] = {
    "no inputs": (INFER, {}, 400, "'inputs' must be a list"),
    "a list": (INFER, [], 400, "must be a JSON object"),
    "a number": (INVOCATIONS, 5, 400, "must be a JSON object"),
    "id of another type": (INFER, _oip(VISITS) | {"id": [1]}, 400, "'id' must be text"),
    "no tensor name": (INFER, {"inputs": [{"data": []}]}, 400, "inputs[0]: 'name' must be text"),
    "tensor is no object": (INFER, {"inputs": [3]}, 400, "inputs[0] must be a JSON object"),
    "no data": (INFER, _tensor(data=None), 400, "input 'pages': 'data' must be a list"),
    "no shape": (INFER, _tensor(shape=None), 400, "input 'pages': 'shape' must be a list"),
    "wrong shape": (INFER, _tensor(shape=[2]), 400, "input 'pages': shape [2] does not fit 3 values"),
    "no datatype": (INFER, _tensor(datatype=None), 400, "input 'pages': 'datatype' must be text"),
    "wrong datatype": (INFER, _tensor(datatype="INT65"), 400, "did you mean 'INT64'?"),
    "twice": (INFER, _tensor(name="spent"), 400, "input 'spent' stands twice"),
    "lengths": (INFER, _tensor(shape=[1], data=[1]), 400, "column 'pages' has 1 values, others have 3"),
    "no rows": (INVOCATIONS, {"dataframe_records": []}, 400, "no rows"),
    "no rows, columns": (INVOCATIONS, {"inputs": {n: [] for n in _TYPES}}, 400, "no rows"),
    "no form": (INVOCATIONS, {}, 400, "exactly one of dataframe_split, dataframe_records"),
    "two forms": (INVOCATIONS, {"inputs": VISITS, "instances": VISITS}, 400, "exactly one of"),
    "records of lists": (INVOCATIONS, {"instances": [[1, 2]]}, 400, "instances must be a list of objects"),
    "records as an object": (INVOCATIONS, {"dataframe_records": {}}, 400, "must be a list of objects"),
    "short row": (
        *(INVOCATIONS, {"dataframe_split": {"columns": ["a", "b"], "data": [[1]]}}),
        *(400, "dataframe_split: row 0 must be a list of 2 values"),
    ),
    "column twice": (
        *(INVOCATIONS, {"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}}),
        *(400, "dataframe_split: a column stands twice"),
    ),
    "column name": (
        *(INVOCATIONS, {"dataframe_split": {"columns": [["a"]], "data": [[1]]}}),
        *(400, "dataframe_split: the columns' names must be text"),
    ),
    "too many rows": (INVOCATIONS, {"instances": [VISITS[0]] * 10_001}, 413, "10,001 rows, more than"),
    "refused by the feature function": (
        *(INVOCATIONS, {"instances": [VISITS[0] | {"spent": -1}]}),
        *(422, "spent must not be -1"),
    ),
    "unknown model": (
        *("/v2/models/visit/infer", _oip(VISITS)),
        *(404, "no model 'visit' is served (did you mean 'visits'?)"),
    ),
    "unknown version": (
        *("/v2/models/visits/versions/7/infer", _oip(VISITS)),
        *(404, "visits version '7' is not loaded; loaded: 1"),
    ),
    "unknown path": ("/v2/models/visits/predict", {}, 404, "/v2/models/visits/predict: Not Found"),
    "wrong method": ("/v2/models/visits", {}, 405, "Method Not Allowed"),
    "no labels": ("/v2/models/visits/feedback", {"labels": []}, 400, "the body must be {'labels'"),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_each_bad_request_is_told_what_is_wrong(served: Any, case: str) -> None:
    path, sent, status, words = BAD_BODIES[case]
    answer = served.http.post(path, json=sent)
    assert answer.status_code == status
    assert words in answer.json()["error"]
    if status != 404:
        assert answer.json()["model"] == "visits"
    if status == 405:
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


NOT_JSON = {
    "empty": b"",
    "cut": b'{"inputs": [',
    "not utf-8": b'{"inputs": "\xff\xfe"}',
    "lone surrogate": b'{"inputs": "\\ud800"}',
    "deep": b'{"inputs": ' + b"[" * 100_000,
    "not a number": b'{"inputs": [NaN]}',
    "infinity": b'{"inputs": [1e999]}',
    "null bytes": b"\x00" * 100,
}


@pytest.mark.parametrize("case", NOT_JSON)
@pytest.mark.parametrize("path", [INFER, INVOCATIONS, "/v2/models/visits/feedback"])
def test_what_is_not_json_is_a_400(served: Any, path: str, case: str) -> None:
    answer = served.http.post(path, content=NOT_JSON[case])
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("the body is not JSON")


def test_a_key_that_stands_twice_has_its_last_value(served: Any) -> None:
    content = b'{"instances": 5, "instances": [{"x": 1}]}'
    assert "unknown columns: 'x'" in served.http.post(INVOCATIONS, content=content).json()["error"]


def test_a_body_that_is_too_large_is_a_413(served: Any) -> None:
    answer = served.http.post(INVOCATIONS, content=b" " * (16 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert "16 MiB" in answer.json()["error"]


def test_a_prediction_that_is_no_number_is_not_answered(served: Any, trainings: Any) -> None:
    rows = pd.DataFrame(0.0, index=range(3), columns=trainings["diabetes"].rows.columns)
    rows.loc[1, "bmi"] = 3e38
    answer = served.http.post("/models/diabetes/invocations", json={"instances": rows.to_dict("records")})
    assert answer.status_code == 422
    assert "row 1: the model has no finite prediction" in answer.json()["error"]


def test_refusals_are_counted_for_monitoring(served: Any, fleet: Any) -> None:
    log = PredictionLog(fleet.home.prediction_log)
    try:
        before = log.errors("iris", datetime.min, datetime.max)
        served.http.post("/models/iris/invocations", json={})
        assert log.errors("iris", datetime.min, datetime.max) == before + 1
    finally:
        log.close()
    served.http.post("/models/iris/invocations/nowhere", json={})
    served.http.post("/models/nobody/invocations", json={})
    metrics = served.http.get("/metrics").text
    assert 'mlops_gateway_requests_total{model="iris",status="400",version="1"}' in metrics
    assert 'mlops_gateway_requests_total{model="",status="404",version=""}' in metrics


def test_bytes_that_are_no_http_do_no_harm(served: Any) -> None:
    address = urlparse(served.url)
    for request in (
        b"GET /v2/models/\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /v2/models/%00%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
    ):
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            connection.sendall(request)
            status = connection.makefile("rb").readline()
        assert status.startswith(b"HTTP/1.1 4"), (request, status)


def test_pages_and_documents_answer(served: Any) -> None:
    assert served.http.get("/v2").json()["name"] == "mlops-assets"
    assert served.http.get("/v2/health/live").json() == {"live": True}
    ready = served.http.get("/v2/health/ready")
    assert ready.status_code == 200
    assert ready.json()["models"]["iris"] == {"champion": "1", "wanted": "1", "ready": True}
    assert served.http.get("/").headers["location"] == "/fleet"
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
    assert documented == routes - {("GET", "/")}


def test_openapi_names_the_statuses_that_were_seen(served: Any) -> None:
    paths = served.http.get("/openapi.json").json()["paths"]
    documented = paths["/v2/models/{model}/infer"]["post"]["responses"].keys()
    seen = {str(status) for path, _, status, _ in BAD_BODIES.values() if path == INFER}
    assert seen | {"200", "404", "408", "413", "422", "503"} <= documented
