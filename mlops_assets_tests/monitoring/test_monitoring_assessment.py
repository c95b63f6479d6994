"""One model, one window: harm is shown by labels, in the metric's own direction, or not claimed."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.errors import PackageError
from mlops_assets.monitoring.assessment.assess import Looked, assess
from mlops_assets.monitoring.assessment.budget import Budget
from mlops_assets.monitoring.assessment.history import History, Lasting, Recent
from mlops_assets.monitoring.assessment.holdout import HoldoutRows
from mlops_assets.monitoring.assessment.record import Assessment, ColumnDrift
from mlops_assets.monitoring.assessment.subject import Span, Subject
from mlops_assets.monitoring.incidents.upstream import WatchedModel as Upstream
from mlops_assets.monitoring.service.cost import ProcessorTime
from mlops_assets.prediction_log.prediction import Label, Prediction
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy_file import load_policy
from mlops_assets.training.package import PackagedModel
from mlops_assets_tests.written_log import WrittenLog

MakeSpec = Callable[..., ModelSpec]
MakeRows = Callable[..., pd.DataFrame]
MakePackage = Callable[..., PackagedModel]

START, END = datetime(2024, 3, 1), datetime(2024, 3, 31)
AS_OF = datetime(2024, 4, 2)
SEED = 8  # served rows that do not happen to fail a test at the 5 % level


def serve(
    log: WrittenLog, package: PackagedModel, rows: pd.DataFrame, labels: Any = None, version: str = "1"
) -> None:
    """Answer rows as the gateway does, and feed back labels."""
    inputs = rows[[c.name for c in package.manifest.inputs]]
    answers = package.predict(inputs).tolist()
    sent = json.loads(inputs.to_json(orient="records"))
    ids = [f"{version}.{i}" for i in range(len(rows))]
    log.append(
        [
            Prediction(id_, "small", version, at.to_pydatetime(), at.to_pydatetime(), row, answer, 2.0)
            for id_, at, row, answer in zip(ids, rows["t"], sent, answers, strict=True)
        ]
    )
    if labels is not None:
        log.append_labels(
            "small", [Label(id_, y, END) for id_, y in zip(ids, labels, strict=True) if y is not None]
        )


class Watched:
    """A model with a log, and the assessment of one window of it."""

    def __init__(self, spec: ModelSpec, package: PackagedModel, log: WrittenLog) -> None:
        self.spec, self.package, self.log = spec, package, log

    def subject(self, **changes: Any) -> Subject:
        rules = load_policy().tiers[self.spec.risk]
        files = self.package.manifest.files
        given: dict[str, Any] = {
            "spec": self.spec,
            "rules": rules,
            "version": "1",
            "manifest": self.package.manifest,
            "content": lambda name: self.package.content(name) if name in files else None,
            "holdout": lambda: HoldoutRows(self.package.reference(), self.package.manifest),
            "budget": Budget.of(rules.monitoring.false_alarms, 1, self.spec.monitoring.window),
        }
        return Subject(**{**given, **changes})

    def look(
        self,
        version: str = "1",
        history: History | None = None,
        processor: ProcessorTime | None = None,
        **more: Any,
    ) -> Looked:
        with self.log.served(self.spec.name, START, END) as served:
            return assess(
                self.subject(version=version, processor=processor),
                self.log,
                served,
                Span(START, END, AS_OF),
                history or History(),
                Upstream.of(self.spec, Path(), Path()),
                **more,
            )

    def assess(self, version: str = "1", **more: Any) -> Assessment:
        found = self.look(version, **more).assessment
        assert found.untold == {}
        return found


@pytest.fixture
def watched(
    make_spec: MakeSpec, make_rows: MakeRows, make_package: MakePackage, tmp_path: Path
) -> Callable[..., Watched]:
    def make(task: str = "binary_classification", **changes: Any) -> Watched:
        spec = make_spec(task, **{"data": {"features": ["a", "b"]}, **changes})
        package = make_package(spec, make_rows(2000, task), monitored=True)
        return Watched(spec, package, WrittenLog(tmp_path / "log"))

    return make


def python_values(column: "pd.Series[Any]") -> list[Any]:
    return [value.item() if hasattr(value, "item") else value for value in column]


@pytest.mark.parametrize("task", ["binary_classification", "multiclass_classification", "regression"])
def test_a_model_that_does_as_on_the_hold_out_does_no_harm(
    watched: Callable[..., Watched], make_rows: MakeRows, task: str
) -> None:
    model = watched(task)
    rows = make_rows(700, task, seed=SEED, start="2024-03-01")
    serve(model.log, model.package, rows, python_values(rows["y"]))
    found = model.assess()
    assert not found.harm
    assert (found.served, found.labelled) == (700, 700)
    assert "not shown to be worse" in found.reason
    assert found.drifted == []
    assert found.quality == []
    assert set(found.latency_ms) == {"p50", "p99"}
    value, low, high = found.metrics[model.spec.evaluation.primary_metric]
    assert low <= value <= high


@pytest.mark.parametrize("task", ["binary_classification", "multiclass_classification", "regression"])
def test_a_model_whose_world_turned_round_does_harm(
    watched: Callable[..., Watched], make_rows: MakeRows, task: str
) -> None:
    model = watched(task)
    rows = make_rows(700, task, seed=SEED, start="2024-03-01")
    turned = rows.assign(a=-rows["a"])
    serve(model.log, model.package, turned, python_values(rows["y"]))
    found = model.assess()
    assert found.harm
    assert "worse by more than 0.02" in found.reason
    assert found.drifted == []  # nothing moved, and yet it does harm


def test_drift_alone_is_shown_and_is_no_harm(watched: Callable[..., Watched], make_rows: MakeRows) -> None:
    model = watched()
    rows = make_rows(700, seed=SEED, start="2024-03-01")
    rows["b"] += 3
    serve(model.log, model.package, rows, python_values(rows["y"]))
    found = model.assess()
    assert found.drifted == ["b"]
    assert not found.harm


def test_without_labels_nothing_is_claimed(watched: Callable[..., Watched], make_rows: MakeRows) -> None:
    model = watched()
    serve(model.log, model.package, make_rows(300, seed=SEED, start="2024-03-01"))
    found = model.assess()
    assert (found.harm, found.labelled, found.metrics) == (False, 0, {})
    assert found.reason.startswith("0 labels of 300 due rows, and a judgement needs 200")
    assert found.drift


def test_few_labels_are_measured_and_not_judged(watched: Callable[..., Watched], make_rows: MakeRows) -> None:
    model = watched()
    rows = make_rows(300, seed=SEED, start="2024-03-01")
    wrong = [1 - y if i < 150 else None for i, y in enumerate(python_values(rows["y"]))]
    serve(model.log, model.package, rows, wrong)
    found = model.assess()
    assert (found.harm, found.labelled) == (False, 150)
    assert found.metrics["roc_auc"][0] < 0.3
    assert found.reason.startswith("150 labels of 300 due rows, and a judgement needs 200")


def test_labels_of_one_class_leave_the_metric_undefined_and_the_record_readable(
    watched: Callable[..., Watched], make_rows: MakeRows
) -> None:
    model = watched()
    rows = make_rows(300, seed=SEED, start="2024-03-01")
    serve(model.log, model.package, rows, [0] * 300)
    found = model.assess()
    assert "roc_auc" not in found.metrics
    assert "brier" in found.metrics
    assert not found.harm
    assert found.reason == "roc_auc is not defined on these labels"
    assert Assessment.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("task", "strange", "problem"),
    [
        ("binary_classification", [7, "yes", 0.5], "a label the model does not know"),
        ("multiclass_classification", ["unheard of", 3, True], "a label the model does not know"),
        ("regression", ["fast", True, "", float("inf")], "a label that is no number"),
    ],
)
def test_labels_the_model_cannot_know_are_told_and_left_out(
    watched: Callable[..., Watched], make_rows: MakeRows, task: str, strange: list[Any], problem: str
) -> None:
    model = watched(task)
    rows = make_rows(300, task, seed=SEED, start="2024-03-01")
    labels = python_values(rows["y"])
    labels[: len(strange)] = strange
    serve(model.log, model.package, rows, labels)
    found = model.assess()
    assert found.labelled == 300 - len(strange)
    (finding,) = found.quality
    assert (finding["column"], finding["problem"], finding["rows"]) == ("y", problem, len(strange))


def test_labels_may_come_as_json_spells_them(watched: Callable[..., Watched], make_rows: MakeRows) -> None:
    model = watched()
    rows = make_rows(300, seed=SEED, start="2024-03-01")
    spelled: list[Any] = [(bool, float, int)[i % 3](y) for i, y in enumerate(rows["y"])]
    serve(model.log, model.package, rows, spelled)
    assert model.assess().labelled == 300


def test_a_label_that_comes_after_the_report_is_not_in_it(
    watched: Callable[..., Watched], make_rows: MakeRows
) -> None:
    model = watched()
    rows = make_rows(300, seed=SEED, start="2024-03-01")
    serve(model.log, model.package, rows, python_values(rows["y"]))
    before = model.assess()
    later = AS_OF + timedelta(days=1)
    corrections = [Label(f"1.{i}", 1 - y, later) for i, y in enumerate(python_values(rows["y"]))]
    model.log.append_labels("small", corrections)
    assert model.assess() == before


def test_an_earlier_versions_answers_are_not_held_against_this_one(
    watched: Callable[..., Watched], make_rows: MakeRows
) -> None:
    model = watched()
    rows = make_rows(600, seed=SEED, start="2024-03-01")
    right = python_values(rows["y"])
    serve(model.log, model.package, rows.head(300), [1 - y for y in right[:300]], version="1")
    serve(model.log, model.package, rows.tail(300), right[300:], version="2")
    one, two = model.assess("1"), model.assess("2")
    assert (one.served, two.served) == (600, 600)
    assert (one.labelled, two.labelled) == (300, 300)
    assert (one.harm, two.harm) == (True, False)


def test_inputs_an_older_version_took_do_not_stop_the_report(
    watched: Callable[..., Watched], make_rows: MakeRows
) -> None:
    model = watched()
    rows = make_rows(300, seed=SEED, start="2024-03-01")
    serve(model.log, model.package, rows, python_values(rows["y"]))
    sent = {"a": "north", "else": 1}
    old = [Prediction(f"old.{i}", "small", "0", START, START, sent, 0.5, 2.0) for i in range(40)]
    model.log.append(old)
    found = model.assess()
    told = {(f["column"], f["problem"]): f["rows"] for f in found.quality}
    assert told == {("a", "not of type number"): 40, ("b", "missing"): 40}


def test_nothing_served_is_said_so(watched: Callable[..., Watched]) -> None:
    found = watched().assess(unseen_rows=9)
    assert found.reason == "nothing was served in this window"
    assert (found.served, found.harm, found.errors, found.unseen_rows) == (0, False, 0, 9)


def test_a_record_with_an_infinite_score_reads_back() -> None:
    written = Assessment(
        model="m", version="1", as_of=AS_OF, start=START, end=END, served=1,
        metrics={"mae": (1.0, np.nan, np.inf)}, drift=[ColumnDrift(column="a", score=np.inf, drifted=True)],
    )  # fmt: skip
    again = Assessment.model_validate_json(written.model_dump_json())
    assert np.isinf(again.metrics["mae"][2])
    assert again.drift[0].score == np.inf


def test_columns_that_the_log_does_not_keep_are_not_looked_at(
    watched: Callable[..., Watched], make_rows: MakeRows
) -> None:
    model = watched(data={"features": ["a", {"name": "b", "log": "hash"}]})
    rows = make_rows(300, seed=SEED, start="2024-03-01")
    serve(model.log, model.package, rows, python_values(rows["y"]))
    hashed = [
        Prediction(f"hashed.{i}", "small", "1", START, START, {"a": 0.1, "b": "f00"}, 0.5, 2.0)
        for i in range(40)
    ]
    model.log.append(hashed)
    found = model.assess()
    assert [each.column for each in found.drift] == ["a"]
    assert found.quality == []
    assert (found.served, found.labelled) == (340, 300)


def test_what_another_release_of_the_platform_wrote_is_told_with_what_to_do(
    watched: Callable[..., Watched],
) -> None:
    model = watched()
    content = {"reference.msgpack": b"\x93\x00\xc0\xc0"}
    subject = model.subject(content=lambda name: content.get(name))
    with pytest.raises(PackageError, match=r"reference.msgpack of version 1: .*; run its lifecycle again"):
        subject.require_standards()


def test_labels_that_are_known_are_audited_and_kept_for_the_windows_after(
    watched: Callable[..., Watched], make_rows: MakeRows
) -> None:
    model = watched()
    rows = make_rows(700, seed=SEED, start="2024-03-01")
    serve(model.log, model.package, rows, python_values(rows["y"]))
    looked = model.look()
    kept = Lasting.from_bytes(looked.lasting.to_bytes())
    assert kept.stable
    assert kept.blocks is not None
    assert len(kept.blocks) == 30
    assert kept.metrics["roc_auc"] == looked.lasting.metrics["roc_auc"]
    history = History([Recent.from_bytes(looked.recent.to_bytes())], [kept])
    (audited,) = history.audited("roc_auc")
    assert audited.covered
    again = model.look(history=history).assessment
    assert again.estimated["roc_auc"].trust == "not enough windows"
    assert "1 of 1 intervals held" in again.estimated["roc_auc"].why


def test_a_part_that_fails_is_told_and_the_others_are_there(
    watched: Callable[..., Watched], make_rows: MakeRows
) -> None:
    kpi = {"name": "profit", "goal": "higher", "target": 1.0, "function": "mlops_assets_tests.nowhere:kpi"}
    model = watched(monitoring={"kpis": [kpi]})
    rows = make_rows(300, seed=SEED, start="2024-03-01")
    serve(model.log, model.package, rows, python_values(rows["y"]))
    found = model.look().assessment
    assert found.metrics
    assert found.drift
    (told,) = found.kpis
    assert "mlops_assets_tests.nowhere" in told.says
    assert not told.alarm


def test_what_answers_took_of_a_processor_is_told(
    watched: Callable[..., Watched], make_rows: MakeRows
) -> None:
    model = watched()
    serve(model.log, model.package, make_rows(300, seed=SEED, start="2024-03-01"))
    found = model.assess(processor=ProcessorTime(single=0.02, in_batch=0.001))
    (resources,) = (each for each in found.service if each.name == "resources")
    assert resources.figures["processor_seconds"] == pytest.approx(6)
    assert found.cost is not None
