"""Clients of MLflow's own server and of KServe's first protocol work with the gateway."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

from mlops_assets_tests.serving.visits_requests import VISITS

ROWS = [{**row, "spent": row["spent"] or 0.0, "member": bool(row["member"])} for row in VISITS]


def mlflow_client(served: Any, path: str = "") -> ScoringServerClient:
    host, port = served.url.removeprefix("http://").split(":")
    return ScoringServerClient(host, f"{port}{path}")


def test_mlflows_client_predicts(served: Any) -> None:
    client = mlflow_client(served, "/models/visits")
    client.wait_server_ready(timeout=5)

    predicted = client.invoke(pd.DataFrame(ROWS)).get_predictions()

    expected = served.http.post("/models/visits/invocations", json={"dataframe_records": ROWS}).json()
    assert predicted[0].tolist() == expected["predictions"]
    assert client.get_version().split(".")[0] == "3"


def test_a_gateway_of_one_model_is_like_mlflows_server(
    gateway_in_process: Any, copy_fleet: Any, tmp_path: Any
) -> None:
    fleet = copy_fleet(tmp_path)
    fleet.promote("m", "2")
    with gateway_in_process(fleet) as gateway:
        gateway.settle()
        assert gateway.client.get("/ping").status_code == 200
        answer = gateway.client.post("/invocations", json={"inputs": [[1.0]]})
    assert (answer.json()["model"], answer.json()["predictions"]) == ("m", [2.0])


def test_with_several_models_one_has_to_be_named(served: Any) -> None:
    client = mlflow_client(served)
    client.ping()
    with pytest.raises(Exception, match=r"models are served; name one: /models/\{model\}/invocations"):
        client.invoke(pd.DataFrame(ROWS))


def test_a_model_that_is_not_served_does_not_answer_a_ping(served: Any) -> None:
    with pytest.raises(Exception, match="error code 404"):
        mlflow_client(served, "/models/visit").ping()


def test_kserves_first_protocol(served: Any) -> None:
    base = f"{served.url}/v1/models"
    predicted = requests.post(f"{base}/visits:predict", json={"instances": ROWS}, timeout=5).json()
    expected = served.http.post("/models/visits/invocations", json={"dataframe_records": ROWS}).json()

    assert np.array_equal(predicted["predictions"], expected["predictions"])
    assert requests.get(f"{base}/visits", timeout=5).json()["ready"] is True
    assert "visits" in requests.get(base, timeout=5).json()["models"]
    assert requests.get(f"{base}/visit", timeout=5).status_code == 404
    assert requests.options(f"{base}/visits:predict", timeout=5).headers["allow"] == "POST"
    assert (
        "did you mean 'visits'" in requests.post(f"{base}/visit:predict", json={}, timeout=5).json()["error"]
    )
