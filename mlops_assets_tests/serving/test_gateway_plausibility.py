"""What is of the right type and still unlikely is counted, and refused where the spec says so."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.serving.plausibility import Plausibility
from mlops_assets.specs.data_spec import Column
from mlops_assets.training.manifest import Manifest
from mlops_assets_tests.fleets import Training, iris

NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
USUAL = dict(zip(NAMES, (5.1, 3.5, 1.4, 0.2), strict=True))


def declared(**columns: dict[str, Any]) -> Training:
    """Return Fisher's irises, some of whose columns say more of themselves."""
    training = iris()
    inputs = tuple(column.model_copy(update=columns.get(column.name, {})) for column in training.inputs)
    return replace(training, inputs=inputs)


@pytest.fixture
def asked(own_fleet: Any, gateway_in_process: Any) -> Any:
    """Return what asks a gateway that serves irises: body by rows, and its counters."""

    def ask(training: Training, *rows: dict[str, Any], onnx: bool = True) -> tuple[Any, str]:
        own_fleet.promote("iris", own_fleet.add(training, onnx=onnx).version)
        with gateway_in_process(own_fleet) as inside:
            inside.settle()
            body = {"dataframe_records": list(rows)}
            answer = inside.client.post("/models/iris/invocations", json=body)
            return answer, inside.client.get("/metrics").text

    return ask


@pytest.mark.parametrize("onnx", [True, False], ids=["as a matrix", "as a frame"])
def test_a_value_out_of_range_is_counted_and_answered(asked: Any, onnx: bool) -> None:
    training = declared(petal_width={"range": (0.0, 1.0)})
    answer, metrics = asked(training, USUAL, USUAL | {"petal_width": 1.5}, onnx=onnx)
    assert answer.status_code == 200
    assert 'outside_values_total{column="petal_width",model="iris",version="1"} 1.0' in metrics
    assert 'anomalous_rows_total{model="iris",version="1"} 0.0' in metrics


def test_it_is_refused_where_the_column_says_so(asked: Any) -> None:
    training = declared(petal_width={"range": (0.0, 1.0), "outside": "refuse"})
    answer, _ = asked(training, USUAL, USUAL | {"petal_width": 1.5})
    assert answer.status_code == 400
    assert answer.json()["error"] == "column 'petal_width', row 1: 1.5 is not within 0 to 1"


def test_what_lies_outside_all_that_was_trained_on_has_a_score(asked: Any) -> None:
    answer, metrics = asked(declared(), USUAL, USUAL | {"sepal_length": 1000.0})
    assert answer.status_code == 200
    assert 'anomalous_rows_total{model="iris",version="1"} 1.0' in metrics
    assert 'anomaly_score_total{model="iris",version="1"} 0.25' in metrics  # one of four columns, far out


def test_a_frame_of_any_types_is_looked_at_as_well() -> None:
    inputs = (
        Column(name="device", type="string", allowed=("mobile", "desktop"), nullable=True),
        Column(name="member", type="boolean", nullable=True),
        Column(name="pages", type="integer", range=(1, None)),
    )
    rows = pd.DataFrame(
        {
            "device": pd.Series(["mobile", "fridge", None], dtype="string"),
            "member": pd.Series([True, None, False], dtype="boolean"),
            "pages": pd.Series([0, 3, 90], dtype="Int64"),
        }
    )
    manifest = replace(_manifest(), inputs=inputs, envelope={"pages": (1.0, 30.0)})
    seen = Plausibility(manifest)
    seen.look(rows)
    assert seen.outside == {"device": 1, "pages": 1}
    assert seen.anomalous == 2
    assert seen.score == pytest.approx((1 / 29 + 1) / 2)


def _manifest() -> Manifest:
    return Manifest("m", "regression", (), (), {}, None, (), "native", "at", "y", {})


def test_what_a_manifest_does_not_say_is_left_out_of_it() -> None:
    without = _manifest()
    assert b"envelope" not in without.to_bytes()
    within = replace(without, envelope={"x": (0.0, 2.0)})
    assert Manifest.from_bytes(within.to_bytes()) == within
    assert np.isfinite(list(within.envelope["x"])).all()
