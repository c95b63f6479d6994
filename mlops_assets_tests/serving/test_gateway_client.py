"""The client sends what frames hold, and says clearly what it cannot do."""

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.errors import EndpointError
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.prediction_log.prediction import Label


@pytest.fixture
def client(served: Any) -> Iterator[GatewayClient]:
    made = GatewayClient(served.url)
    yield made
    made.close()


USES: dict[str, Callable[[GatewayClient], Any]] = {
    "live": lambda client: client.live(),
    "infer": lambda client: client.infer("iris", pd.DataFrame({"x": [1.0]})),
    "feedback": lambda client: client.feedback("iris", [Label("x", 1, datetime(2024, 1, 1))]),
    "wait": lambda client: client.wait_for_version("iris", "1", timeout=0),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("used_before", [True, False])
def test_a_closed_client_says_so(client: GatewayClient, use: str, used_before: bool) -> None:
    if used_before:
        assert client.live()
    client.close()
    client.close()
    words = f"this client of gateway {client.url} was closed; make another one"
    with pytest.raises(EndpointError, match=words):
        USES[use](client)


def test_a_column_is_sent_as_what_it_holds(client: GatewayClient, trainings: Any) -> None:
    """Whatever pandas keeps it in: missing values make objects of numbers and truth values."""
    rows = trainings["visits"].rows.iloc[:3].assign(pages=[1, 2, 3], member=[True, False, True], spent=2.5)
    device = rows["device"].tolist()
    asked = {
        "numpy": rows,
        "objects": rows.astype("object"),
        "scalars": rows.assign(pages=pd.Series([np.int8(n) for n in (1, 2, 3)], dtype="object")),
        "nullable": rows.astype({"pages": "Int64", "member": "boolean", "spent": "Float64"}),
        "floats": rows.astype({"pages": "float32", "member": "float64"}),
        "categories": rows.assign(pages=pd.Categorical([1, 2, 3]), device=pd.Categorical(device)),
    }
    answers = {how: client.infer("visits", frame).predictions.tolist() for how, frame in asked.items()}
    assert all(answer == answers["numpy"] for answer in answers.values()), answers


def test_a_column_with_gaps_is_sent_with_its_gaps(client: GatewayClient, trainings: Any) -> None:
    rows = trainings["visits"].rows.iloc[:2]
    gaps = [
        pd.Series([1, None], dtype="object"),
        pd.Series([1, None], dtype="Int64"),
        pd.Series([1.0, None]),
        pd.Series([1, pd.NA], dtype="object"),
    ]
    answers = [client.infer("visits", rows.assign(spent=values.to_numpy())) for values in gaps]
    assert all((answer.predictions == answers[0].predictions).all() for answer in answers)
    none = client.infer("visits", rows.assign(spent=None))
    assert none.predictions[1] == answers[0].predictions[1]


def test_what_json_cannot_carry_is_told(client: GatewayClient, trainings: Any) -> None:
    rows = trainings["visits"].rows.iloc[:2]
    with pytest.raises(EndpointError, match=r"the request holds what JSON cannot carry: .*Decimal"):
        client.infer("visits", rows.assign(spent=[Decimal("1.5"), Decimal("2.5")]))
    with pytest.raises(EndpointError, match="the request holds what JSON cannot carry"):
        client.infer("visits", rows.assign(pages=pd.Series([2**64, 1], dtype="object")))
