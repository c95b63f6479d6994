"""Labels by prediction id: known, unknown, corrected, late, wrong."""

from datetime import datetime
from typing import Any

import pytest

from mlops_assets.gateway_client import GatewayClient
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.prediction import Label, Prediction
from mlops_assets.prediction_log.secret import secret_for
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
