"""The spec as Dagster validates it: without files and lines, but with the same rules."""

import math
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from mlops_assets.specs.data_spec import Column, Entity
from mlops_assets.specs.model_spec import ModelSpec, Training
from mlops_assets.specs.tasks import METRICS

MakeSpec = Callable[..., ModelSpec]


def test_parts_that_contradict_each_other_are_all_told(make_spec: MakeSpec) -> None:
    with pytest.raises(ValidationError) as raised:
        make_spec(
            evaluation={"primary_metric": "r2", "slices": ["aa"], "thresholds": {"mae": {"max": 1}}},
            data={"window": "1d"},
        )
    text = str(raised.value)
    for part in ("'r2' is no metric", "'mae' is no metric", "'aa' is no declared column", "a window of 1d"):
        assert part in text


@pytest.mark.parametrize("task", METRICS)
def test_every_metric_of_a_task_can_be_its_primary_one(task: str, make_spec: MakeSpec) -> None:
    for metric in METRICS[task]:  # type: ignore[index]
        assert make_spec(task, evaluation={"primary_metric": metric}).evaluation.primary_metric == metric


def test_the_source_must_deliver_each_column_once(make_spec: MakeSpec) -> None:
    spec = make_spec(data={"key": ["t", "id"], "features": ["t", "a"]})
    assert spec.data.columns == ("t", "id", "a", "y")


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [
        ("string", ["a", "1"]),
        ("number", [1, 1.5]),
        ("integer", [1, 2]),
        ("boolean", [True]),
    ],
)
def test_allowed_values_of_the_columns_type_travel_through_json(kind: str, allowed: list[Any]) -> None:
    column = Column.model_validate({"name": "c", "type": kind, "allowed": allowed})
    again = Column.model_validate_json(column.model_dump_json())
    assert again == column
    assert [type(v) for v in again.allowed or ()] == [type(v) for v in allowed]


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [("string", [1]), ("string", [False]), ("number", ["1"]), ("integer", [True]), ("integer", [1.5]),
     ("boolean", [1]), ("datetime", ["2013-01-01"])],
)  # fmt: skip
def test_an_allowed_value_of_another_type_is_refused(kind: str, allowed: list[Any]) -> None:
    with pytest.raises(ValidationError, match="allowed"):
        Column.model_validate({"name": "c", "type": kind, "allowed": allowed})


def test_the_schema_for_editors_can_be_made(make_spec: MakeSpec) -> None:
    schema = ModelSpec.model_json_schema()
    assert schema["$defs"]["Column"]["properties"]["allowed"]
    spec = make_spec(data={"window": "52w"})
    assert spec.model_dump(mode="json")["data"]["window"] == "364d"
    assert ModelSpec.model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, [1, {"deep": -math.inf}], date(2020, 1, 1), b"\xff", {"a"}, "\ud800"],
    ids=str,
)
def test_what_json_cannot_tell_apart_or_say_is_no_parameter(value: Any) -> None:
    """NaN, infinity and null would be the same spec, and so the same recipe."""
    with pytest.raises(ValueError, match=r"params\n.*JSON has no word for"):
        Training.model_validate({"estimator": "sklearn.svm.SVC", "params": {"x": value}})


@pytest.mark.parametrize(
    "column",
    [{"range": [0, math.inf]}, {"range": [math.nan, 1]}, {"allowed": [1.0, math.nan]}],
    ids=str,
)
def test_a_limit_is_a_finite_number(column: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"finite number|JSON has no word for"):
        Column.model_validate({"name": "x", **column})


def test_an_entity_may_be_named_alone_or_with_what_the_log_keeps_of_it(make_spec: MakeSpec) -> None:
    assert make_spec(data={"entity": "who"}).data.entity == Entity(column="who", log="keep")
    hashed = make_spec(data={"entity": {"column": "who", "log": "hash"}})
    assert ModelSpec.model_validate(hashed.model_dump(mode="json")) == hashed
    assert "who" not in hashed.data.columns, "only requests have to carry it"
    for column, what in (("y", "target"), ("t", "time column")):
        with pytest.raises(ValidationError, match=f"the {what} '{column}' cannot be the entity"):
            make_spec(data={"entity": column})


def test_a_spec_that_says_nothing_of_the_log_has_the_digest_it_had_before_it_could(
    make_spec: MakeSpec,
) -> None:
    dumped = make_spec().model_dump(mode="json")["data"]
    assert "entity" not in dumped
    assert "log" not in dumped["features"][0]
    column = Column(name="c", log="drop").model_dump(mode="json")
    assert Column.model_validate(column).log == column["log"] == "drop"


def test_a_spec_that_asks_for_no_gain_has_the_digest_it_had_before_it_could(make_spec: MakeSpec) -> None:
    assert "on_gain" not in make_spec().model_dump(mode="json")["retraining"]
    spec = make_spec(retraining={"on_gain": 0.02})
    assert ModelSpec.model_validate(spec.model_dump(mode="json")) == spec
    assert "on_gain" in ModelSpec.model_json_schema()["$defs"]["Retraining"]["properties"]


def test_a_spec_without_business_figures_has_the_digest_it_had_before_there_were_any(
    make_spec: MakeSpec,
) -> None:
    dumped = make_spec().model_dump(mode="json")["monitoring"]
    assert not dumped.keys() & {"kpis", "costs"}
    figure = {"name": "sales", "goal": "higher", "target": 2.0}
    spec = make_spec(monitoring={"kpis": [figure], "costs": [{"name": "bureau", "per_1000": 2.5}]})
    assert ModelSpec.model_validate(spec.model_dump(mode="json")) == spec
    assert spec.digest != make_spec().digest
