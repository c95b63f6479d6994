"""Whom a request is about, and what of it the prediction log keeps, whichever way it comes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_assets.prediction_log.segments import segments_in
from mlops_assets.specs.data_spec import Column, Entity
from mlops_assets_tests.fleets import Fleet, InProcess, Listening, Training, diabetes, visits

ROW = dict.fromkeys(("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"), 0.01)
SECRET = 0.012345678
INFER, INVOKE = "/v2/models/{}/infer", "/models/{}/invocations"


def loans(model: str, treated: bool) -> Training:
    """A model of numbers, of whose inputs one is hashed and one dropped if it is treated."""
    base = diabetes()
    log = {"age": "hash", "sex": "drop"} if treated else {}
    inputs = tuple(Column(name=c.name, log=log.get(c.name, "keep")) for c in base.inputs)  # type: ignore[arg-type]
    return replace(base, model=model, inputs=inputs)


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory,
    copy_fleet: Callable[[Path], Fleet],
    gateway_in_process: Any,
) -> Iterator[InProcess]:
    """A gateway whose models ``open``, ``hidden`` and ``member`` differ in their entity and treatments."""
    fleet = copy_fleet(tmp_path_factory.mktemp("entities"))
    made = {
        "open": (loans("open", False), Entity(column="customer")),
        "hidden": (loans("hidden", True), Entity(column="customer", log="hash")),
        "feature": (replace(loans("feature", True), model="feature"), Entity(column="age")),
        "plain": (loans("plain", False), None),
        "texts": (replace(visits(), model="texts"), Entity(column="device")),
    }
    for model, (training, entity) in made.items():
        fleet.promote(model, fleet.add(training, entity=entity).version)
    with gateway_in_process(fleet) as inside:
        inside.settle()
        yield inside


@pytest.fixture(scope="module")
def front(gateway: InProcess) -> Iterator[tuple[httpx.Client, list[str]]]:
    """What answers usual requests, as a client sees it, and which requests it passed on."""
    with Listening(gateway) as listening, httpx.Client(base_url=listening.url, trust_env=False) as client:
        yield client, listening.passed_on


def sent(path: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    if path == INVOKE:
        return {"dataframe_records": rows}
    kinds = {str: "BYTES", float: "FP64", int: "INT64", type(None): "FP64"}
    return {
        "inputs": [
            {
                "name": name,
                "datatype": kinds[type(rows[0][name])],
                "shape": [len(rows)],
                "data": [row[name] for row in rows],
            }
            for name in rows[0]
        ]
    }


def ask(
    gateway: InProcess, model: str, *rows: dict[str, Any], path: str = INVOKE, header: str | None = None
) -> Any:
    headers = {} if header is None else {"x-mlops-entity": header}
    return gateway.client.post(path.format(model), json=sent(path, [*rows]), headers=headers)


def logged(gateway: InProcess, answer: Any) -> list[Any]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    ids = body.get("prediction_ids") or body["parameters"]["prediction_ids"]
    return [gateway.log.find(each) for each in ids]


@pytest.mark.parametrize("path", [INFER, INVOKE])
def test_a_column_tells_whom_each_row_is_about(gateway: InProcess, path: str) -> None:
    rows = [ROW | {"customer": name} for name in ("ann", "bob")]
    assert [each.entity for each in logged(gateway, ask(gateway, "open", *rows, path=path))] == ["ann", "bob"]
    with_numbers = [ROW | {"customer": 7}]
    (found,) = logged(gateway, ask(gateway, "open", *with_numbers, path=path))
    assert found.entity == "7"
    assert found.inputs["customer"] == 7


@pytest.mark.parametrize("path", [INFER, INVOKE])
@pytest.mark.parametrize("model", ["open", "plain"])
def test_a_header_tells_whom_all_rows_are_about(gateway: InProcess, path: str, model: str) -> None:
    found = logged(gateway, ask(gateway, model, ROW, ROW, path=path, header="ann"))
    assert [each.entity for each in found] == ["ann", "ann"]
    assert "customer" not in found[0].inputs


@pytest.mark.parametrize("path", [INFER, INVOKE])
@pytest.mark.parametrize("model", ["open", "hidden"])
@pytest.mark.parametrize("named", [{"customer": "ann"}, {"customer": 7}, {}])
@pytest.mark.parametrize("headers", [{}, {"x-mlops-entity": "bob"}])
def test_it_is_told_at_once_as_it_is_behind(
    gateway: InProcess, front: Any, path: str, model: str, named: dict[str, Any], headers: Any
) -> None:
    client, passed_on = front
    before = len(passed_on)
    asked = {"json": sent(path, [ROW | named] * 2), "headers": headers}
    at_once = logged(gateway, client.post(path.format(model), **asked))
    behind = logged(gateway, gateway.client.post(path.format(model), **asked))
    assert passed_on[before:] == []
    assert [each.entity for each in at_once] == [each.entity for each in behind]
    assert [each.inputs for each in at_once] == [each.inputs for each in behind]


def test_where_both_are_sent_the_header_counts(gateway: InProcess) -> None:
    (found,) = logged(gateway, ask(gateway, "open", ROW | {"customer": "bob"}, header="ann"))
    assert (found.entity, found.inputs["customer"]) == ("ann", "bob")


def test_an_entity_is_never_required_and_may_be_missing_in_rows(gateway: InProcess) -> None:
    assert [each.entity for each in logged(gateway, ask(gateway, "open", ROW))] == [None]
    rows = [ROW | {"customer": name} for name in (None, "bob", "")]
    assert [each.entity for each in logged(gateway, ask(gateway, "open", *rows))] == [None, "bob", None]


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        ([ROW], "a" * 257, "x-mlops-entity: an entity has at most 256 characters, not 257"),
        ([ROW | {"customer": True}], None, "column 'customer', row 0: an entity must be text or a number"),
        ([ROW | {"customer": ["ann"]}], None, "column 'customer', row 0"),
        ([ROW | {"custmer": "ann"}], None, "unknown columns: 'custmer'"),
    ],
)
def test_an_entity_that_is_none_is_refused(
    gateway: InProcess, rows: list[dict[str, Any]], header: str | None, words: str
) -> None:
    answer = ask(gateway, "open", *rows, header=header)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_a_model_without_an_entity_takes_no_further_column(gateway: InProcess) -> None:
    assert ask(gateway, "plain", ROW | {"customer": "ann"}).status_code == 400


@pytest.mark.parametrize("path", [INFER, INVOKE])
@pytest.mark.parametrize("named", [{"customer": "ann-of-the-valley"}, {}])
def test_what_is_hashed_or_dropped_is_nowhere_in_the_log(
    gateway: InProcess, path: str, named: dict[str, str]
) -> None:
    """With the column the general way is taken, and without it the fast one."""
    secret = ROW | {"age": SECRET, "sex": SECRET}
    (one,) = logged(gateway, ask(gateway, "hidden", secret | named, path=path))
    (two,) = logged(gateway, ask(gateway, "hidden", secret | named, path=path))
    assert "sex" not in one.inputs
    assert one.inputs["age"] == two.inputs["age"] == gateway.recorder.pseudonyms.of("age", SECRET)
    assert one.inputs["bmi"] == 0.01
    assert one.entity == two.entity
    assert one.entity != "ann-of-the-valley"
    import struct

    for segment in segments_in(gateway.fleet.home.prediction_log):
        content = segment.path.read_bytes()
        assert b"ann-of-the-valley" not in content
        assert struct.pack(">d", SECRET) not in content


def test_nor_is_it_in_what_is_said_of_a_wrong_request(gateway: InProcess) -> None:
    answer = ask(gateway, "hidden", ROW | {"age": "born-in-the-valley"})
    assert "born-in-the-valley" in answer.json()["error"], "whoever sent it may be told"
    segments = segments_in(gateway.fleet.home.prediction_log)
    assert not any(b"born-in-the-valley" in segment.path.read_bytes() for segment in segments)
    _, statuses = gateway.log.failures("hidden", datetime(2000, 1, 1), datetime(2100, 1, 1))
    assert statuses.tolist() == [answer.status_code] == [400]


def feed(gateway: InProcess, model: str, *items: dict[str, Any]) -> Any:
    return gateway.client.post(f"/v2/models/{model}/feedback", json={"labels": [*items]})


@pytest.mark.parametrize("model", ["open", "hidden"])
def test_a_label_finds_the_newest_prediction_of_an_entity(gateway: InProcess, model: str) -> None:
    (before,) = logged(gateway, ask(gateway, model, ROW | {"customer": 4711}))
    (after,) = logged(gateway, ask(gateway, model, ROW, header="4711"))
    (other,) = logged(gateway, ask(gateway, model, ROW | {"customer": "4712"}))
    item = {"entity": 4711, "event_time": "2100-01-01", "label": 150.5, "observed_at": "2100-01-02"}
    assert feed(gateway, model, item).json() == {"model": model, "accepted": 1, "unknown": []}
    known = {each.prediction_id: gateway.log.label(each.prediction_id) for each in (before, after, other)}
    assert [label and label.label for label in known.values()] == [None, 150.5, None]


def test_a_hashed_feature_may_be_the_entity(gateway: InProcess) -> None:
    (found,) = logged(gateway, ask(gateway, "feature", ROW | {"age": 41.0}))
    assert found.entity == gateway.recorder.pseudonyms.of("age", "41")
    assert (
        feed(gateway, "feature", {"entity": "41", "event_time": "2100-01-01", "label": 1.0}).status_code
        == 200
    )
    assert gateway.log.label(found.prediction_id) is not None


def test_text_features_may_be_the_entity(gateway: InProcess) -> None:
    row = {"device": "tv", "visited_at": "2024-01-01", "member": True, "pages": 1, "spent": 1.0}
    (found,) = logged(gateway, ask(gateway, "texts", row))
    assert (found.entity, found.inputs["device"]) == ("tv", "tv")


@pytest.mark.parametrize(
    ("model", "item", "status", "words"),
    [
        ("nobody", {"entity": "e", "event_time": "2100-01-01", "label": 1}, 404, "no model 'nobody'"),
        ("open", {"entity": "e", "label": 1}, 400, "labels[0]: 'event_time' must be text"),
        ("open", {"entity": None, "event_time": "2100-01-01", "label": 1}, 400, "must be text or a number"),
        ("open", {"entity": "e", "event_time": "soon", "label": 1}, 400, "'soon' is not a time"),
        (
            "open",
            {"entity": "e", "prediction_id": "x", "event_time": "2100-01-01", "label": 1},
            400,
            "not both",
        ),
    ],
)
def test_wrong_feedback_on_entities_is_named(
    gateway: InProcess, model: str, item: dict[str, Any], status: int, words: str
) -> None:
    answer = feed(gateway, model, item)
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_a_log_that_fails_stops_no_answer_where_that_is_asked_for(
    gateway: InProcess, gateway_in_process: Any, tmp_path: Path
) -> None:
    with gateway_in_process(gateway.fleet, tmp_path / "log", serve_unlogged=True) as inside:
        inside.settle()
        (found,) = logged(inside, ask(inside, "open", ROW))
        assert found is not None, "as long as the log works, all is logged"
        inside.recorder.close()
        for rows in ([ROW], [ROW | {"customer": "ann"}] * 2):  # the fast way, and the general one
            answer = ask(inside, "open", *rows)
            assert answer.status_code == 200
            assert [inside.log.find(each) for each in answer.json()["prediction_ids"]] == [None] * len(rows)
        metrics = inside.client.get("/metrics").text
        assert 'mlops_gateway_unlogged_total{model="open"} 3.0' in metrics
        assert 'mlops_gateway_incidents_total{kind="log_unwritable",model=""} 1.0' in metrics
        (problem,) = inside.client.get("/v2/health/ready").json()["problems"]
        assert "predictions leave unlogged" in problem["message"]
        answer = feed(inside, "open", {"prediction_id": found.prediction_id, "label": 1.0})
        assert answer.status_code == 503, "feedback that cannot be kept is never said to be taken"
