"""What is wrong with a request is named, counted, and never the gateway's undoing."""

import json
import socket
from datetime import datetime
from typing import Any
from urllib.parse import urlparse

import pandas as pd
import pytest

from mlops_assets.monitoring.assessment.service import Failures
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets_tests.serving.visits_requests import INFER, INVOCATIONS, VISITS, oip


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
    body = oip(VISITS)
    body["inputs"][3] |= changes
    return body


BAD_BODIES: dict[str, tuple[str, Any, int, str]] = {
    "no inputs": (INFER, {}, 400, "'inputs' must be a list"),
    "a list": (INFER, [], 400, "must be a JSON object"),
    "a number": (INVOCATIONS, 5, 400, "must be a JSON object"),
    "id of another type": (INFER, oip(VISITS) | {"id": [1]}, 400, "'id' must be text"),
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
    "no rows, columns": (INVOCATIONS, {"inputs": {n: [] for n in VISITS[0]}}, 400, "no rows"),
    "no form": (INVOCATIONS, {}, 400, "exactly one of dataframe_split, dataframe_records"),
    "two forms": (INVOCATIONS, {"inputs": VISITS, "instances": VISITS}, 400, "exactly one of"),
    "short list": (INVOCATIONS, {"instances": [[1, 2]]}, 400, "instances: row 0 must be a list of 5 values"),
    "lists and objects": (
        *(INVOCATIONS, {"inputs": [VISITS[0], [1]]}),
        *(400, "inputs must be a list of objects, one per row, a list of lists, or columns by name"),
    ),
    "a list of values": (INVOCATIONS, {"inputs": [1]}, 400, "inputs: row 0 must be a list of 5 values"),
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
        *("/v2/models/visit/infer", oip(VISITS)),
        *(404, "no model 'visit' is served (did you mean 'visits'?)"),
    ),
    "unknown version": (
        *("/v2/models/visits/versions/7/infer", oip(VISITS)),
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


@pytest.mark.parametrize("sent_as", ["text/csv", "application/xml", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("path", [INFER, INVOCATIONS, "/v2/models/visits/feedback"])
def test_what_does_not_even_claim_to_be_json_is_a_415(served: Any, path: str, sent_as: str) -> None:
    answer = served.http.post(path, content=b"device,pages\ntv,1\n", headers={"content-type": sent_as})
    assert answer.status_code == 415
    assert answer.json()["error"] == f"the body is {sent_as!r}, not JSON; send application/json"


@pytest.mark.parametrize("sent_as", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_json_is_read_whatever_it_is_called(served: Any, sent_as: str) -> None:
    content, headers = json.dumps({"instances": VISITS}), {"content-type": sent_as}
    assert served.http.post(INVOCATIONS, content=content, headers=headers).status_code == 200


@pytest.mark.parametrize("row", [{"at": None}, {}])
def test_a_missing_time_is_named(served: Any, trainings: Any, row: dict[str, Any]) -> None:
    """The time column may be sent though it is no input; whoever sends it sends it whole."""
    given = trainings["diabetes"].rows.head(1).to_dict("records")[0]
    records = [given | {"at": "2024-01-01"}, given | row]
    answer = served.http.post("/models/diabetes/invocations", json={"inputs": records})
    assert answer.status_code == 400
    assert answer.json()["error"] == "column 'at', row 1: a value is required"
    inputs = [{"name": n, "datatype": "FP64", "shape": [1], "data": [v]} for n, v in given.items()]
    inputs.append({"name": "at", "datatype": "BYTES", "shape": [1], "data": [None]})
    answer = served.http.post("/v2/models/diabetes/infer", json={"inputs": inputs})
    assert answer.status_code == 400
    assert answer.json()["error"] == "column 'at', row 0: a value is required"
    null = [VISITS[0] | {"visited_at": None}]
    answer = served.http.post(INVOCATIONS, json={"inputs": null})
    assert answer.json()["error"] == "column 'visited_at', row 0: a value is required"


def test_a_key_that_stands_twice_has_its_last_value(served: Any) -> None:
    content = b'{"instances": 5, "instances": [{"x": 1}]}'
    assert "unknown columns: 'x'" in served.http.post(INVOCATIONS, content=content).json()["error"]


def test_a_row_may_not_bring_columns_of_its_own(served: Any) -> None:
    """Rows with many different names are refused before a column is made of each name: that took minutes."""
    rows = [{f"column_{i}_{j}": 1 for j in range(50)} for i in range(9_000)]
    answer = served.http.post(INVOCATIONS, json={"inputs": [VISITS[0], *rows]}, timeout=20)
    assert answer.status_code == 400
    assert "and 449,995 more" in answer.json()["error"]


def test_a_body_that_says_it_is_too_large_is_not_waited_for(served: Any) -> None:
    address = urlparse(served.url)
    head = f"POST {INVOCATIONS} HTTP/1.1\r\nHost: x\r\nContent-Length: {16 * 1024 * 1024 + 1}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 413")


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


def test_refusals_and_failures_are_counted_apart_for_monitoring(
    served: Any, fleet: Any, trainings: Any
) -> None:
    """Wrong requests are the client's doing; an error is a valid request that the model failed on."""
    good = {"instances": trainings["diabetes"].rows.head(1).to_dict("records")}
    failing = {"instances": [good["instances"][0] | {"bmi": 3e38}]}
    ever = datetime.min, datetime.max
    log = PredictionLog(fleet.home.prediction_log)

    def totals() -> tuple[int, int]:
        failures = Failures(*log.failures("diabetes", *ever))
        return int(failures.failed.sum()), int((~failures.failed).sum())

    def counted(body: Any, path: str = "/models/diabetes/invocations", **headers: str) -> Any:
        """Return the answer's status, and by how many errors and refusals there are more."""
        before = totals()
        status = served.http.post(path, json=body, headers=headers).status_code
        after = totals()
        return status, after[0] - before[0], after[1] - before[1]

    assert counted(good) == (200, 0, 0)
    assert counted({}) == (400, 0, 1)
    assert counted({"instances": good["instances"] * 10_001}) == (413, 0, 1)
    assert counted({}, "/v2/models/diabetes/infer") == (400, 0, 1)
    assert counted({}, "/v2/models/diabetes/versions/9/infer") == (404, 0, 0)
    assert counted(failing) == (422, 1, 0)
    probe = {"x-mlops-probe": "1"}
    assert counted({}, **probe) == (400, 0, 0)
    assert counted(failing, **probe) == (422, 0, 0)
    served.http.post("/models/iris/invocations", json={})
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


def test_openapi_names_the_statuses_that_were_seen(served: Any) -> None:
    paths = served.http.get("/openapi.json").json()["paths"]
    documented = paths["/v2/models/{model}/infer"]["post"]["responses"].keys()
    seen = {str(status) for path, _, status, _ in BAD_BODIES.values() if path == INFER}
    assert seen | {"200", "404", "408", "413", "415", "422", "503"} <= documented
