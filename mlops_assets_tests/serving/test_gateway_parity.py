"""Online equals offline, bit for bit, on real flights."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

import mlops_assets.defs.flight_delay
from mlops_assets.data.columns import to_declared_types
from mlops_assets.data.features import FeatureView
from mlops_assets.defs.flight_delay.source import load
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.specs.data_spec import Column
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


GAPS = '''
import pandas as pd


def compute(rows):
    """Return numbers and text that some rows have and others lack."""
    double = [None if x != x else 2 * x for x in rows["x"]]
    word = [None if x != x else "many" if x > 5 else "few" for x in rows["x"]]
    return pd.DataFrame({"double": double, "word": word}, rows.index, dtype=object)
'''


def test_a_row_alone_gets_what_it_gets_among_others(
    fleet: Any, client: GatewayClient, make_training: Any
) -> None:
    """Though a feature that is missing in the only row does not tell whether it is a number or text."""
    encoder = make_column_transformer(
        (make_pipeline(FunctionTransformer(np.log1p), SimpleImputer(strategy="mean")), ["double"]),
        (OneHotEncoder(handle_unknown="ignore"), ["word"]),
    )
    x = np.where(np.arange(60) % 4 == 0, np.nan, np.arange(60) % 11)
    training = make_training(
        model="gaps",
        task="regression",
        frame=pd.DataFrame({"x": x, "y": np.arange(60.0)}),
        inputs=(Column(name="x", nullable=True),),
        target="y",
        estimator=make_pipeline(encoder, LinearRegression()),
        source=GAPS,
    )
    version = fleet.add(training)
    fleet.promote("gaps", version.version)
    client.wait_for_champion("gaps", version.version, timeout=30)
    rows = training.rows.head(8)
    offline = fleet.package(version).predict(rows)
    assert (client.infer("gaps", rows).predictions == offline).all()
    one_by_one = [client.infer("gaps", rows.iloc[[i]]).predictions[0] for i in range(len(rows))]
    assert one_by_one == offline.tolist()
