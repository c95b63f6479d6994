"""Whatever JSON is posted, the gateway is not what breaks."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.serving.binary_tensors import HEADER
from mlops_assets.serving.oip import TENSOR_TYPES

_NAMES = st.sampled_from(
    ["device", "visited_at", "member", "pages", "spent", "inputs", "name", "data", "shape", "labels", ""]
)
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(["2024-01-01", "now", "mobile", "-1", "0001-01-01T00:00+23:59", "\0"]),
    st.datetimes().map(lambda t: t.isoformat()),
)
_JSON = st.recursive(
    _VALUES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=20,
)
# Near to what is right: the right columns, of one length, with values of every kind.
_COLUMNS = st.integers(1, 3).flatmap(
    lambda n: st.fixed_dictionaries(
        {
            "device": st.lists(st.one_of(st.just("tv"), _VALUES), min_size=n, max_size=n),
            "visited_at": st.lists(st.one_of(st.just("2024-01-01"), _VALUES), min_size=n, max_size=n),
            "member": st.lists(st.one_of(st.booleans(), _VALUES), min_size=n, max_size=n),
            "pages": st.lists(st.one_of(st.integers(0, 9), _VALUES), min_size=n, max_size=n),
            "spent": st.lists(st.one_of(st.floats(0, 1e300), _VALUES), min_size=n, max_size=n),
        }
    )
)
_DATATYPES = ("BYTES", "BYTES", "BOOL", "INT64", "FP64")
_TENSOR = st.fixed_dictionaries(
    {
        "name": _NAMES,
        "datatype": st.sampled_from(["FP64", "BYTES", "BOOL", "x"]),
        "shape": st.lists(st.integers(-1, 3), max_size=2),
        "data": st.lists(_JSON, max_size=3),
    }
)
_TENSOR_OF_BYTES = st.tuples(_NAMES, st.sampled_from([*TENSOR_TYPES, "x"]), _VALUES, st.binary(max_size=16))
_LABEL = st.fixed_dictionaries(
    {"prediction_id": st.text(max_size=5) | _JSON, "label": _JSON},
    optional={"observed_at": _JSON},
)
_INVOCATION = st.one_of(
    _COLUMNS.map(lambda columns: {"inputs": columns}),
    st.dictionaries(
        st.sampled_from(["dataframe_split", "dataframe_records", "inputs", "instances"]),
        _JSON,
        max_size=2,
    ),
    st.fixed_dictionaries({"dataframe_split": st.fixed_dictionaries({"columns": _JSON, "data": _JSON})}),
)
_BODIES = {
    "/v2/models/visits/infer": st.one_of(
        st.fixed_dictionaries({"inputs": st.lists(_TENSOR, max_size=6)}, optional={"id": _JSON}),
        _COLUMNS.map(
            lambda columns: {
                "inputs": [
                    {"name": name, "datatype": datatype, "shape": [len(data)], "data": data}
                    for (name, data), datatype in zip(columns.items(), _DATATYPES, strict=True)
                ]
            }
        ),
        _JSON,
    ),
    "/v2/models/visits/versions/1/infer": _JSON,
    "/models/visits/invocations": _INVOCATION,
    "/v1/models/visits:predict": _INVOCATION,
    "/v2/models/visits/feedback": st.fixed_dictionaries({"labels": st.lists(_LABEL, max_size=3)}) | _JSON,
}


@pytest.fixture(scope="module")
def inside(gateway_in_process: Any, fleet: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with gateway_in_process(fleet, tmp_path_factory.mktemp("log") / "log.db") as made:
        made.settle()
        yield made


@pytest.mark.parametrize("path", _BODIES)
def test_no_json_body_is_a_server_error(inside: Any, path: str) -> None:
    posted = {route.path for route in inside.gateway.app().routes if "POST" in route.methods}
    # Without a model's name, /invocations is the same endpoint.
    assert len(posted - {"/invocations"}) == len(_BODIES), "a route was added that is not tried here"
    statuses = set()

    @settings(
        max_examples=120,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(body=_BODIES[path])
    def post(body: Any) -> None:
        answer = inside.client.post(path, content=orjson.dumps(body))
        statuses.add(answer.status_code)
        assert answer.status_code < 500, answer.text
        content = orjson.loads(answer.content)
        if answer.status_code == 200:
            assert content.get("prediction_ids") or content.get("parameters") or "accepted" in content
        else:
            assert content["error"]
            assert content["model"] == "visits"

    post()
    assert 400 in statuses


@pytest.mark.parametrize("path", ["/v2/models/visits/infer", "/models/visits/invocations"])
def test_no_bytes_are_a_server_error(inside: Any, path: str) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(content=st.binary(max_size=200))
    def post(content: bytes) -> None:
        assert inside.client.post(path, content=content).status_code == 400

    post()


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    st.lists(
        st.tuples(_NAMES, st.sampled_from([*TENSOR_TYPES, "x"]), _VALUES, st.binary(max_size=16)), max_size=5
    ),
    st.integers(-2, 2),
)
def test_no_tensors_in_bytes_are_a_server_error(
    inside: Any, tensors: list[tuple[str, str, Any, bytes]], off: int
) -> None:
    inputs = [
        {
            "name": name,
            "datatype": datatype,
            "shape": [1],
            "parameters": {"binary_data_size": len(data) if size else size},
        }
        for name, datatype, size, data in tensors
    ]
    head = orjson.dumps({"inputs": inputs})
    answer = inside.client.post(
        "/v2/models/visits/infer",
        content=head + b"".join(data for *_, data in tensors),
        headers={HEADER: str(len(head) + off)},
    )

    assert answer.status_code == 400, answer.text


def test_a_mistake_of_ours_is_a_500_that_names_model_and_version(
    inside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("mlops_assets.serving.arms.answer_each", broken)
    row = {"device": "tv", "visited_at": "2024-01-01", "member": 1, "pages": 1, "spent": 1}
    answer = inside.client.post("/models/visits/invocations", json={"instances": [row]})
    assert answer.status_code == 500
    assert answer.json() == {
        "error": "RuntimeError; the gateway's log tells more",
        "model": "visits",
        "version": "1",
    }
    assert 500 in inside.log.failures("visits", datetime.min, datetime.max)[1]
