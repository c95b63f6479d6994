"""``mlops-assets explain``: everything that one prediction rests on, as it was when it was made."""

from datetime import datetime
from typing import Any

import pytest

from mlops_assets.prediction_log.frames import framed
from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.prediction_ids import row_id
from mlops_assets.prediction_log.records import Answers, encode
from mlops_assets.prediction_log.segments import Loss, segments_in
from mlops_assets_tests.lifecycles import Clinic


@pytest.fixture
def asked(serving_clinic: Clinic) -> list[str]:
    """Ids of what was asked, the platform's own questions left out."""
    serving_clinic.serve_some(rows=3, start="2024-02-05")
    log = PredictionLog(serving_clinic.home.prediction_log)
    found = log.window("tumour", datetime.min, datetime.max, datetime.max)
    return list(found["prediction_id"])


def explain(warm: Any, clinic: Clinic, prediction: str, *options: str) -> Any:
    return warm.cli("explain", prediction, *options, cwd=clinic.project.root, home=clinic.root)


def edit(clinic: Clinic, prediction: str, **changes: Any) -> None:
    """Alter a prediction in the log as somebody would who may write to its folder."""
    for segment in segments_in(clinic.home.prediction_log):
        records = [each[0] for each in segment.records() if not isinstance(each, Loss)]
        for record in records:
            if isinstance(record, Answers):
                for row in range(len(record.outputs)):
                    if row_id(record.base, row) == prediction:
                        for name, value in changes.items():
                            setattr(record, name, value)
        segment.path.write_bytes(b"".join(framed(segment.mark, encode(record)) for record in records))


def test_a_prediction_leads_to_model_data_code_gates_release_and_reasons(
    warm: Any, serving_clinic: Clinic, asked: list[str]
) -> None:
    ended = explain(warm, serving_clinic, asked[0], "--json")
    assert ended.code == 0, ended.err
    told = ended.json
    assert told["prediction"]["version"] == "1"
    assert told["asked_again"] == told["prediction"]["output"]
    assert told["label"]["label"] in (0, 1)
    record = serving_clinic.record("trained_model")
    assert told["subject"]["candidate"] == record["candidate"]
    assert told["subject"]["data"] == record["features"]["raw"]["digest"]
    assert told["facts"]["mlflow_run"] == record["run_id"]
    assert {gate["gate"] for gate in told["gates"]} >= {"data_contract", "metric_thresholds", "components"}
    assert all(gate["passed"] for gate in told["gates"])
    assert told["release"]["version"] == "1"
    assert told["release"]["evidence"] == told["evidence"]
    reasons = told["reasons"]
    total = reasons["base_value"] + sum(each["contribution"] for each in reasons["reasons"])
    assert total == pytest.approx(reasons["prediction"])
    assert told["findings"] == []
    shown = explain(warm, serving_clinic, asked[0])
    assert shown.code == 0, shown.err
    for words in ("tumour version 1 answered", "turned out", "metric_thresholds", "nobody had to approve it"):
        assert words in shown.out


def test_it_tells_what_held_then_and_not_what_holds_now(
    warm: Any, serving_clinic: Clinic, asked: list[str]
) -> None:
    before = explain(warm, serving_clinic, asked[0], "--json").json
    project = serving_clinic.project
    first, *others = [c for c in project.columns if c.startswith("mean_")]
    project.write_spec(data={"features": [{"name": first, "log": "drop"}, *others]})
    assert serving_clinic.run().success
    assert serving_clinic.aliases["champion"] == "2"
    after = explain(warm, serving_clinic, asked[0], "--json").json
    assert after == before
    serving_clinic.serve_some(rows=1, start="2024-02-06")
    log = PredictionLog(serving_clinic.home.prediction_log)
    (new,) = log.window("tumour", datetime(2024, 2, 6), datetime.max, datetime.max)["prediction_id"]
    hidden = explain(warm, serving_clinic, new)
    assert hidden.code == 0, hidden.err
    assert "tumour version 2 answered" in hidden.out
    assert f"not asked again: the log does not keep {first}" in hidden.out


def test_an_answer_that_was_altered_in_the_log_is_found(
    warm: Any, serving_clinic: Clinic, asked: list[str]
) -> None:
    edit(serving_clinic, asked[1], outputs=[0.123] * 3)
    ended = explain(warm, serving_clinic, asked[1])
    assert ended.code == 1
    assert "asked again, the package answers" in ended.err


def test_a_version_that_was_not_to_serve_any_more_is_found(
    warm: Any, serving_clinic: Clinic, asked: list[str]
) -> None:
    project = serving_clinic.project
    project.write_spec(data={"features": [c for c in project.columns if c.startswith("mean_")]})
    assert serving_clinic.run().success
    edit(serving_clinic, asked[2], served_at=microseconds(datetime(2999, 1, 1)))
    ended = explain(warm, serving_clinic, asked[2])
    assert ended.code == 1
    assert "version 2 was to serve by then" in ended.err


def test_an_unknown_prediction_is_bad_input(warm: Any, serving_clinic: Clinic) -> None:
    ended = explain(warm, serving_clinic, "0123")
    assert ended.code == 2
    assert "no prediction '0123' is in the log" in ended.err
