"""Online equals offline, bit for bit, on real flights."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

import mlops_assets.defs.flight_delay
from mlops_assets.data.columns import to_declared_types
from mlops_assets.data.features import FeatureView
from mlops_assets.defs.flight_delay.source import load
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.specs.loading import load_fleet

_ROWS = 1_200


@pytest.fixture(scope="module")
def flights(make_training: Any) -> Any:
    """The flagship's own declarations and feature function, on three months of real flights."""
    folder = Path(mlops_assets.defs.flight_delay.__file__).parent
    spec = load_fleet([folder]).require().specs[0].spec
    frame = load(datetime(2013, 1, 1), datetime(2013, 4, 1)).sample(8_000, random_state=0)
    frame = to_declared_types(frame.reset_index(drop=True), spec.data.features)
    return make_training(
        model="flight_delay",
        task="binary_classification",
        frame=frame,
        inputs=spec.data.features,
        target="late",
        estimator=HistGradientBoostingClassifier(max_iter=20, random_state=0),
        time_column="scheduled_at",
        source=FeatureView.from_spec(spec.data).source,
    )


@pytest.fixture(scope="module")
def client(served: Any) -> Iterator[GatewayClient]:
    made = GatewayClient(served.url)
    yield made
    made.close()


@pytest.mark.parametrize("form", ["onnx", "native"])
def test_online_predictions_are_the_offline_ones(
    fleet: Any, client: GatewayClient, flights: Any, form: str
) -> None:
    version = fleet.add(flights, onnx=form == "onnx")
    package = fleet.package(version)
    assert package.uses_onnx == (form == "onnx")
    fleet.promote("flight_delay", version.version)
    client.wait_for_champion("flight_delay", version.version, timeout=30)
    rows = load(datetime(2013, 7, 1), datetime(2013, 8, 1)).sample(_ROWS, random_state=1)
    rows = to_declared_types(rows.reset_index(drop=True), flights.inputs)[flights.rows.columns]
    offline = package.predict(rows)
    assert rows.isna().to_numpy().any(), "real rows have missing weather"
    assert offline.std() > 0.05
    batches = [client.infer("flight_delay", rows.iloc[i : i + 400]) for i in range(0, _ROWS, 400)]
    online = np.concatenate([batch.predictions for batch in batches])
    assert {batch.version for batch in batches} == {version.version}
    assert (online == offline).all()
    one_by_one = np.concatenate([client.infer("flight_delay", rows.iloc[[i]]).predictions for i in range(20)])
    assert (one_by_one == offline[:20]).all()


@pytest.mark.parametrize("model", ["visits", "iris", "diabetes"])
def test_every_task_and_type_agrees(fleet: Any, client: GatewayClient, trainings: Any, model: str) -> None:
    rows = trainings[model].rows
    offline = fleet.package(fleet.registry.version(model, "1")).predict(rows)
    online = client.infer(model, rows)
    assert online.predictions.shape == offline.shape
    assert (online.predictions == offline).all()
    assert len(online.prediction_ids) == len(rows)


def test_the_client_refuses_what_json_cannot_carry(client: GatewayClient, trainings: Any) -> None:
    from mlops_assets.errors import EndpointError

    rows = trainings["diabetes"].rows.head(2).assign(bmi=[0.1, np.inf])
    with pytest.raises(EndpointError, match="column 'bmi' holds an infinite number"):
        client.infer("diabetes", rows)


def test_the_client_passes_on_what_the_gateway_says(client: GatewayClient, trainings: Any) -> None:
    from mlops_assets.errors import EndpointError

    rows = trainings["visits"].rows.head(1).assign(pages=pd.NA)
    with pytest.raises(EndpointError, match="400: column 'pages', row 0: a value is required"):
        client.infer("visits", rows)
    with pytest.raises(EndpointError, match="nothing is not served by version 1 after 0 s"):
        client.wait_for_champion("nothing", "1", timeout=0)
