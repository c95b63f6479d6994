"""NVIDIA's client of the Open Inference Protocol works with the gateway, in JSON and with binary tensors."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from tritonclient import http
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets_tests.serving.visits_requests import INFER, VISITS, oip

BINARY = [False, True]


@pytest.fixture(scope="module")
def client(served: Any) -> Iterator[Any]:
    made = http.InferenceServerClient(served.url.removeprefix("http://"))
    yield made
    made.close()


def visits(*, binary: bool) -> list[Any]:
    """Return the inputs of the requests in VISITS; in bytes, what is missing is NaN."""
    columns = {
        "device": np.array([row["device"] for row in VISITS], dtype=np.object_),
        "visited_at": np.array([row["visited_at"] for row in VISITS], dtype=np.object_),
        "member": np.array([bool(row["member"]) for row in VISITS]),
        "pages": np.array([row["pages"] for row in VISITS], dtype="int64"),
        "spent": np.array([row["spent"] for row in VISITS], dtype="float64"),
    }
    return [tensor(name, values, binary=binary) for name, values in columns.items()]


def tensor(name: str, values: Any, *, binary: bool = True) -> Any:
    made = http.InferInput(name, list(values.shape), np_to_triton_dtype(values.dtype))
    if values.dtype == "float64" and np.isnan(values).any() and not binary:
        values = np.nan_to_num(values)  # this client cannot write null
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def test_it_asks_what_there_is(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("visits")
    assert client.is_model_ready("visits", "1")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    assert [each["name"] for each in client.get_model_metadata("iris")["outputs"]] == [
        "probabilities",
        "label",
    ]


@pytest.mark.parametrize("sent", BINARY)
@pytest.mark.parametrize("wanted", BINARY)
def test_bytes_and_json_come_to_the_same(served: Any, client: Any, sent: bool, wanted: bool) -> None:
    rows = VISITS if sent else [{**row, "spent": row["spent"] or 0} for row in VISITS]
    expected = served.http.post(INFER, json=oip(rows)).json()["outputs"][0]["data"]
    outputs = [http.InferRequestedOutput("probability", binary_data=wanted)]

    answer = client.infer("visits", visits(binary=sent), outputs=outputs, request_id="mine")

    assert answer.as_numpy("probability").tolist() == expected
    assert answer.get_response()["id"] == "mine"
    assert len(answer.get_response()["parameters"]["prediction_ids"]) == len(VISITS)


def test_what_it_sends_if_nothing_is_said(client: Any) -> None:
    answer = client.infer("visits", visits(binary=True), model_version="1")

    assert answer.get_response()["model_version"] == "1"
    assert answer.as_numpy("probability").shape == (len(VISITS),)


def test_text_comes_back_as_bytes(served: Any, client: Any, trainings: Any) -> None:
    inputs = trainings["iris"].inputs
    columns = [tensor(column.name, np.array([5.1, 6.7])) for column in inputs]

    answer = client.infer("iris", columns)

    labels = [label.decode() for label in answer.as_numpy("label")]
    probabilities = answer.as_numpy("probabilities")
    assert probabilities.shape == (2, 3)
    assert labels == [served_class(served, index) for index in probabilities.argmax(axis=1)]


def served_class(served: Any, index: int) -> str:
    return str(served.http.get("/v2/models/iris").json()["parameters"]["classes"][index])


def test_only_the_outputs_that_are_asked_for_come(client: Any, trainings: Any) -> None:
    columns = [tensor(column.name, np.array([5.1])) for column in trainings["iris"].inputs]

    answer = client.infer("iris", columns, outputs=[http.InferRequestedOutput("label", binary_data=False)])

    assert [each["name"] for each in answer.get_response()["outputs"]] == ["label"]


def test_it_is_told_what_is_wrong(client: Any) -> None:
    inputs = visits(binary=True)
    inputs[3] = tensor("pages", np.array([1.5, 2, 3]))
    with pytest.raises(InferenceServerException, match=r"column 'pages', row 0: 1\.5 is not an integer"):
        client.infer("visits", inputs)
    with pytest.raises(InferenceServerException, match="no output 'score'; it has probability"):
        client.infer("visits", visits(binary=True), outputs=[http.InferRequestedOutput("score")])


def test_the_log_holds_what_came_as_bytes(fleet: Any, client: Any) -> None:
    answer = client.infer("visits", visits(binary=True)).get_response()

    log = PredictionLog(fleet.home.prediction_log)
    logged = log.find(answer["parameters"]["prediction_ids"][0])
    assert logged is not None
    assert logged.inputs == {**VISITS[0], "spent": None}
    assert logged.event_time == datetime(2024, 3, 1, 10, 30)
