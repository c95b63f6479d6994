"""Labels by prediction id: known, unknown, corrected, late, wrong."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.gateway_client import GatewayClient
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.prediction import Label, Prediction
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.secret import secret_for
from mlops_assets.prediction_log.segment_writer import SegmentWriter
from mlops_assets.serving.bodies import Sent
from mlops_assets.serving.feedback import take_feedback
from mlops_assets.serving.table import Table
from mlops_assets_tests.written_log import WrittenLog

_WHEN = datetime(2031, 5, 1)


@pytest.fixture
def log(fleet: Any) -> PredictionLog:
    return PredictionLog(fleet.home.prediction_log)


@pytest.fixture
def ids(served: Any) -> list[str]:
    """Predictions for visits of a day that no other test uses."""
    row = {"device": "mobile", "visited_at": _WHEN.isoformat(), "member": True, "pages": 9, "spent": 1.5}
    answer = served.http.post("/models/visits/invocations", json={"instances": [row, row, row]})
    return list(answer.json()["prediction_ids"])


def _feed(served: Any, model: str, *labels: Any) -> Any:
    return served.http.post(f"/v2/models/{model}/feedback", json={"labels": list(labels)})


def _known(log: PredictionLog, ids: list[str], by: datetime) -> list[Any]:
    window = log.window("visits", _WHEN, datetime(2031, 5, 2), by).set_index("prediction_id")
    return [None if label != label else label for label in window.loc[ids, "label"]]


def test_labels_find_their_predictions(served: Any, log: PredictionLog, ids: list[str]) -> None:
    answer = _feed(
        served,
        "visits",
        {"prediction_id": ids[0], "label": 1},
        {"prediction_id": "nobody", "label": 0},
        {"prediction_id": ids[1], "label": 0},
    )
    assert answer.json() == {"model": "visits", "accepted": 2, "unknown": ["nobody"]}
    assert _known(log, ids, datetime.max) == [1, 0, None]


def test_a_later_label_corrects_and_a_late_one_is_not_known_before(
    served: Any, log: PredictionLog, ids: list[str]
) -> None:
    def observed(label: int, at: str) -> None:
        item = {"prediction_id": ids[0], "label": label, "observed_at": at}
        assert _feed(served, "visits", item).status_code == 200

    observed(1, "2031-05-02T00:00:00+02:00")
    observed(0, "2031-05-03")
    assert _known(log, ids[:1], datetime(2031, 5, 1, 21)) == [None]
    assert _known(log, ids[:1], datetime(2031, 5, 1, 22)) == [1]
    assert _known(log, ids[:1], datetime(2031, 5, 3)) == [0]


def test_the_client_sends_labels_in_pieces(
    served: Any, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_assets.gateway_client._LABELS_AT_ONCE", 2)
    client = GatewayClient(served.url)
    labels = [Label(id_, 1, _WHEN) for id_ in [*ids, "nobody"]]
    assert client.feedback("visits", labels) == ["nobody"]
    client.close()


def test_labels_of_another_model_are_unknown(served: Any, ids: list[str]) -> None:
    answer = _feed(served, "diabetes", {"prediction_id": ids[0], "label": 1.0})
    assert answer.json() == {"model": "diabetes", "accepted": 0, "unknown": [ids[0]]}


def test_labels_of_a_model_nobody_knows_are_a_404(served: Any, ids: list[str]) -> None:
    answer = _feed(served, "visit", {"prediction_id": ids[0], "label": 1})
    assert answer.status_code == 404
    assert answer.json() == {
        "error": "no model 'visit' is served (did you mean 'visits'?)",
        "model": "visit",
    }


@pytest.mark.parametrize("content", [b"", b"[]", b'{"labels": [1]}', b'{"labels": []}', b'{"labels'])
def test_a_wrong_name_is_told_before_whatever_else_is_wrong(served: Any, content: bytes) -> None:
    answer = served.http.post("/v2/models/visit/feedback", content=content)
    assert answer.status_code == 404
    assert answer.json()["error"] == "no model 'visit' is served (did you mean 'visits'?)"
    assert served.http.post("/v2/models/visits/feedback", content=content).status_code == 400


def test_late_labels_of_a_retired_model_are_kept(served: Any, fleet: Any) -> None:
    written = WrittenLog(fleet.home.prediction_log, secret_for(fleet.home.root))
    made = Prediction(written.recorder.ids.new("retired"), "retired", "1", _WHEN, _WHEN, {"x": 1}, 0.5, 1.0)
    written.append([made])
    labels = [{"prediction_id": id_, "label": 1} for id_ in (made.prediction_id, "nobody")]
    answer = _feed(served, "retired", *labels)
    assert answer.json() == {"model": "retired", "accepted": 1, "unknown": ["nobody"]}
    assert written.window("retired", _WHEN, datetime.max, datetime.max)["label"].tolist() == [1]
    written.close()
    assert _feed(served, "retired", labels[1]).status_code == 404, "nothing tells that it ever answered"


WRONG = {
    "no list": ("visits", {"labels": {}}, "the body must be"),
    "no object": ("visits", {"labels": [1]}, "labels[0]: 'prediction_id' must be text"),
    "no id": ("visits", {"labels": [{"label": 1}]}, "labels[0]: 'prediction_id' must be text"),
    "no label": ("visits", {"labels": [{"prediction_id": "x"}]}, "labels[0]: 'label' must be one value"),
    "list": ("visits", {"labels": [{"prediction_id": "x", "label": [1]}]}, "'label' must be one value"),
    "text": (
        *("visits", {"labels": [{"prediction_id": "x", "label": "yes"}]}),
        "labels[0]: 'label' must be one of the classes (0, 1), not 'yes'",
    ),
    "number": (
        *("iris", {"labels": [{"prediction_id": "x", "label": 2}]}),
        "labels[0]: 'label' must be one of the classes ('setosa', 'versicolor', 'virginica'), not '2'",
    ),
    "text for a regression": (
        *("diabetes", {"labels": [{"prediction_id": "x", "label": "12"}]}),
        "labels[0]: 'label' must be a number, not '12'",
    ),
    "truth for a regression": (
        *("diabetes", {"labels": [{"prediction_id": "x", "label": True}]}),
        "labels[0]: 'label' must be a number, not 'True'",
    ),
    "no time": (
        *("visits", {"labels": [{"prediction_id": "x", "label": 1, "observed_at": "soon"}]}),
        "labels[0]: 'observed_at': 'soon' is not a time",
    ),
    "number as time": (
        *("visits", {"labels": [{"prediction_id": "x", "label": 1, "observed_at": 5}]}),
        "labels[0]: 'observed_at' must be text",
    ),
    "time beyond time": (
        *(
            "visits",
            {"labels": [{"prediction_id": "x", "label": 1, "observed_at": "9999-12-31T23:59-01:00"}]},
        ),
        "labels[0]: 'observed_at': ",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_labels_are_named(served: Any, case: str) -> None:
    model, body, words = WRONG[case]
    answer = served.http.post(f"/v2/models/{model}/feedback", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_one_wrong_label_keeps_all_out(served: Any, log: PredictionLog, ids: list[str]) -> None:
    good, bad = {"prediction_id": ids[0], "label": 1}, {"prediction_id": ids[1], "label": "no"}
    answer = _feed(served, "visits", good, bad)
    assert answer.status_code == 400
    assert "labels[1]" in answer.json()["error"]
    assert _known(log, ids, datetime.max) == [None, None, None]


def test_too_many_labels_are_a_413(served: Any) -> None:
    answer = _feed(served, "visits", *[{"prediction_id": "x", "label": 1}] * 10_001)
    assert answer.status_code == 413


def _values(log: PredictionLog, ids: list[str], *kinds: str) -> list[list[Any]]:
    window = log.window("visits", _WHEN, datetime(2031, 5, 2), datetime.max, kinds=kinds)
    found = window.set_index("prediction_id").loc[ids, list(kinds)]
    return [[None if value != value else value for value in row] for row in found.to_numpy().tolist()]


def test_ratings_and_kpis_are_kept_beside_labels(served: Any, log: PredictionLog, ids: list[str]) -> None:
    said = [
        {"prediction_id": ids[0], "label": 1},
        {"prediction_id": ids[0], "kind": "rating", "value": 4},
        {"prediction_id": ids[0], "kind": "kpi:revenue", "value": 19.5},
        {"prediction_id": ids[1], "kind": "label", "value": 0},
    ]
    answer = served.http.post("/v2/models/visits/feedback", json={"feedback": said})
    assert answer.json() == {"model": "visits", "accepted": 4, "unknown": []}
    kinds = ("label", "rating", "kpi:revenue", "kpi:clicks")
    assert _values(log, ids, *kinds) == [[1, 4, 19.5, None], [0, None, None, None], [None] * 4]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"kind": "mood", "value": 1}, "feedback[0]: 'kind' must be 'label', 'rating' or 'kpi:'"),
        ({"kind": "kpi:Revenue", "value": 1}, "not 'kpi:Revenue'"),
        ({"kind": ["label"], "value": 1}, "'kind' must be"),
        ({"kind": "rating", "value": "good"}, "feedback[0]: 'value' must be a number"),
        ({"kind": "rating", "value": True}, "'value' must be a number"),
        ({"kind": "rating", "label": 1}, "what is of another 'kind' has a 'value'"),
        ({"label": 1, "value": 0}, "a 'label' stands alone"),
        ({"value": "yes"}, "feedback[0]: 'value' must be one of the classes (0, 1)"),
    ],
)
def test_what_is_wrong_with_other_kinds_is_named(served: Any, item: dict[str, Any], words: str) -> None:
    body = {"feedback": [{"prediction_id": "x", **item}]}
    answer = served.http.post("/v2/models/visits/feedback", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def _lines(served: Any, model: str, *lines: Any) -> Any:
    content = "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines)
    headers = {"content-type": "application/x-ndjson"}
    return served.http.post(f"/v2/models/{model}/feedback", content=content, headers=headers)


def test_of_lines_those_that_are_right_are_taken_and_the_others_named(
    served: Any, log: PredictionLog, ids: list[str]
) -> None:
    answer = _lines(
        served,
        "visits",
        {"prediction_id": ids[0], "label": 1},
        "",
        {"prediction_id": ids[1], "label": "yes"},
        '{"prediction_id": ',
        {"prediction_id": "nobody", "label": 0},
        "[1]",
        {"prediction_id": ids[2], "kind": "rating", "value": 2},
    )
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model"], body["accepted"], body["refused"]) == ("visits", 2, 4)
    assert [each["line"] for each in body["errors"]] == [3, 4, 5, 6]
    assert body["errors"][0]["error"].startswith("'label' must be one of the classes (0, 1)")
    assert body["errors"][2]["error"] == "no prediction of visits has the id 'nobody'"
    assert _values(log, ids, "label", "rating") == [[1, None], [None, None], [None, 2]]


def test_lines_may_be_more_than_one_request_may_carry_otherwise(served: Any, log: PredictionLog) -> None:
    row = {"device": "mobile", "visited_at": "2031-05-01", "member": True, "pages": 9, "spent": 1.5}
    made = served.http.post("/models/visits/invocations", json={"instances": [row] * 200}).json()
    ids = made["prediction_ids"]
    lines = [
        {"prediction_id": ids[n % 200], "label": n // 200 % 2, "observed_at": f"2031-05-{2 + n // 200:02}"}
        for n in range(200 * 26)
    ]
    assert _lines(served, "visits", *lines, *lines).json()["accepted"] == 2 * len(lines) > 10_000
    assert _values(log, ids, "label") == [[1]] * 200


@pytest.mark.parametrize("lines", [[], ["", "  "]])
def test_no_lines_are_refused(served: Any, lines: list[str]) -> None:
    assert _lines(served, "visits", *lines).status_code == 400
    assert _lines(served, "visit", *lines).status_code == 404


def test_lines_about_a_model_that_nobody_knows_are_a_404(served: Any) -> None:
    assert _lines(served, "visit", {"prediction_id": "x", "label": 1}).status_code == 404


def test_of_a_model_that_serves_no_more_only_predictions_are_known(tmp_path: Path) -> None:
    recorder = Recorder(SegmentWriter(tmp_path, "w"), bytes(32))
    made = recorder.ids.new("m")
    lines = [
        {"prediction_id": made, "label": 1},
        {"entity": "e", "event_time": "2024-01-02", "label": 1},
    ]
    content = b"\n".join(json.dumps(line).encode() for line in lines)
    answer = take_feedback(recorder, Table(), "m", Sent(content, "application/jsonl"))
    recorder.close()
    assert (answer["accepted"], answer["refused"]) == (1, 1)
    assert answer["errors"][0]["error"].startswith("m does not serve")
