"""A file of rows becomes a file of predictions: those of the package, in order, once, named for ever."""

import csv
import os
import shutil
import subprocess
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from mlops_assets.errors import BusyError, DataError, StorageError
from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.segment_writer import SegmentWriter
from mlops_assets.scoring.forms import MEASURED_FROM, choose
from mlops_assets.scoring.parts import Parts
from mlops_assets.scoring.records import row_of
from mlops_assets.scoring.sql_input import SqlRows
from mlops_assets.scoring.trial import scored_through_files
from mlops_assets.training.onnx_form import TOLERANCE
from mlops_assets.training.package import prediction_columns
from mlops_assets_tests.fleets import diabetes, iris, visits
from mlops_assets_tests.scorings import Desk

KILLS = int(os.environ.get("KILL_POINTS", "8"))
TRIAL = Path(__file__).parent / "score_trial.py"
TRAININGS = {training.model: training for training in (visits(), iris(), diabetes())}


def expected(desk: Desk, model: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Return what the package answers when it is asked for all rows at once."""
    package = desk.proven(model).resident.package
    return pd.DataFrame(prediction_columns(package.predict(rows), package.manifest))


def sent(model: str, times: int = 8) -> pd.DataFrame:
    """Return a model's own rows several times over, as a person would have them in a file."""
    training = TRAININGS[model]
    rows = pd.concat([training.rows] * times, ignore_index=True)
    for column in training.inputs:
        if column.type == "boolean":
            rows[column.name] = rows[column.name] == 1.0
        if column.type == "integer":
            rows[column.name] = rows[column.name].astype("int64")
    return rows


def write(rows: pd.DataFrame, kind: str, folder: Path) -> Any:
    """Write rows as some kind of input."""
    if kind == "csv":
        rows.to_csv(folder / "rows.csv", index=False)
        return folder / "rows.csv"
    if kind == "sql":
        url = f"sqlite:///{folder / 'rows.db'}"
        rows.to_sql("visits", sa.create_engine(url), index=False)
        return SqlRows(url, table="visits")
    if kind == "folder":
        (folder / "rows").mkdir()
        half = len(rows) // 2
        rows[:half].to_parquet(folder / "rows" / "a.parquet", index=False, row_group_size=700)
        rows[half:].to_parquet(folder / "rows" / "b.parquet", index=False)
        return folder / "rows"
    rows.to_parquet(folder / "rows.parquet", index=False)
    return folder / "rows.parquet"


@pytest.mark.parametrize("kind", ["parquet", "csv", "folder", "sql"])
@pytest.mark.parametrize("model", TRAININGS)
def test_every_row_gets_the_prediction_that_the_package_gives_it(
    desk: Desk, model: str, kind: str, tmp_path: Path
) -> None:
    rows = sent(model)
    scored = desk.score(model, write(rows, kind, tmp_path), tmp_path / "out.parquet")
    found = pd.read_parquet(tmp_path / "out.parquet")
    wanted = expected(desk, model, pd.concat([TRAININGS[model].rows] * 8, ignore_index=True))
    assert list(found) == [*wanted, "model", "version", "prediction_id"]
    for name in wanted:
        assert (found[name] == wanted[name]).all(), name
    assert (found["model"] == model).all()
    assert (found["version"] == "1").all()
    assert scored.rows == len(found) == len(rows)


def test_a_text_file_of_predictions_says_the_same(desk: Desk, rows: Path, tmp_path: Path) -> None:
    desk.score("diabetes", rows, tmp_path / "out.csv")
    desk.score("diabetes", rows, tmp_path / "out.parquet")
    with (tmp_path / "out.csv").open(newline="") as file:
        as_text = list(csv.DictReader(file))
    found = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [{**row, "prediction": float(row["prediction"])} for row in as_text] == found


def test_predictions_are_named_so_that_the_platform_knows_them_again(
    desk: Desk, rows: Path, tmp_path: Path
) -> None:
    desk.score("diabetes", rows, tmp_path / "out.parquet")
    made = pd.read_parquet(tmp_path / "out.parquet")["prediction_id"]
    assert made.is_unique
    assert all(desk.ids.given_out(each, "diabetes") for each in made)
    assert not any(desk.ids.given_out(each, "iris") for each in made[:10])
    found = row_of(made[7_654], desk.audit, desk.ids)
    assert found is not None
    assert found.row == 7_655
    assert found.entry.detail["output"] == str(tmp_path / "out.parquet")
    assert row_of(desk.ids.new("diabetes"), desk.audit, desk.ids) is None
    assert row_of("no id", desk.audit, desk.ids) is None


def test_columns_are_carried_over_if_asked_and_otherwise_refused(desk: Desk, tmp_path: Path) -> None:
    rows = sent("iris").assign(plant=lambda r: [f"plant {n}" for n in range(len(r))])
    source = write(rows, "csv", tmp_path)
    out = tmp_path / "out.parquet"
    with pytest.raises(DataError, match=r"unknown columns: 'plant'; --keep NAME carries a further column"):
        desk.score("iris", source, out)
    desk.score("iris", source, out, keep=["plant", "petal_width"])
    found = pd.read_parquet(out)
    assert list(found)[:3] == ["plant", "petal_width", "prediction"]
    assert found["plant"].tolist() == rows["plant"].tolist()
    assert found["petal_width"].astype(float).tolist() == rows["petal_width"].tolist()
    with pytest.raises(DataError, match="no column 'flower' to keep"):
        desk.score("iris", source, out, keep=["flower"])


def test_the_same_rows_give_the_same_bytes_and_each_scoring_is_entered(
    desk: Desk, rows: Path, tmp_path: Path
) -> None:
    before = len(desk.audit.entries("diabetes"))
    first = desk.score("diabetes", rows, tmp_path / "a.parquet")
    again = desk.score("diabetes", rows, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    entries = desk.audit.entries("diabetes")[before:]
    assert [entry.detail["job"] for entry in entries] == [first.job, again.job]
    (entry, _) = entries
    proven = desk.proven("diabetes")
    assert (entry.action, entry.actor, entry.evidence) == ("score", "tests", proven.resident.evidence.digest)
    assert entry.detail["candidate"] == proven.resident.package.digest
    assert entry.detail["input_digest"] == first.input_digest
    assert entry.detail["output_digest"] == first.output_digest
    assert (entry.detail["rows"], entry.detail["version"], entry.detail["logged"]) == (9_500, "1", False)
    assert desk.audit.verify(desk.fleet.signer.verifier) == []


BAD = {
    "text for a number": ("pages,3", "pages,many", "column 'pages': 'many' is not an integer"),
    "a fraction for a whole number": ("pages,3", "pages,2.5", "column 'pages': 2.5 is not an integer"),
    "nothing where a value is required": ("pages,3", "pages,", "column 'pages': a value is required"),
    "no time": ("visited_at,2024-01-01", "visited_at,soon", "column 'visited_at': 'soon' is not a datetime"),
    "no truth value": ("member,true", "member,perhaps", "column 'member': 'perhaps' is not a boolean"),
    "an infinity": ("spent,1.5", "spent,inf", "column 'spent': inf is not a number"),
    "too large for a model": (
        "spent,1.5",
        "spent,1e39",
        "column 'spent': 1e+39 is larger than a model can take",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_the_first_bad_row_is_named_and_nothing_is_left_behind(desk: Desk, case: str, tmp_path: Path) -> None:
    good, bad, said = BAD[case]
    row = {"device": "mobile", "visited_at": "2024-01-01", "member": "true", "pages": "3", "spent": "1.5"}
    name, _, value = bad.partition(",")
    assert f"{name},{row[name]}" == good
    lines = [row] * 4_567 + [{**row, name: value}] + [row] * 3 + [{**row, name: value}]
    pd.DataFrame(lines).to_csv(source := tmp_path / "rows.csv", index=False)
    with pytest.raises(DataError) as refused:
        desk.score("visits", source, tmp_path / "out.csv")
    assert str(refused.value) == f"{source}, row 4,568: {said}"
    assert [file.name for file in tmp_path.iterdir()] == ["rows.csv"]


def test_rows_that_the_feature_function_refuses_are_told(desk: Desk, tmp_path: Path) -> None:
    rows = sent("visits")
    rows.loc[3_000, "spent"] = -1
    with pytest.raises(DataError, match="feature function compute failed: ValueError: spent must not be -1"):
        desk.score("visits", write(rows, "parquet", tmp_path), tmp_path / "out.csv")


HEADER = "sepal_length,sepal_width,petal_length,petal_width"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.csv", "", "is no CSV with a header"),
        ("rows.csv", f"{HEADER}\n", "has no rows"),
        ("rows.csv", f"{HEADER.replace(',petal_width', '')}\n1,2,3\n", "missing columns: petal_width"),
        ("rows.csv", f"{HEADER.replace('_width', '_with')}\n1,2,3,4\n", "did you mean 'petal_width'"),
        ("rows.csv", f"{HEADER}\n1,2,3\n", "Expected 4 columns, got 3"),
        ("rows.csv", "petal_width,petal_width\n1,2\n", "has the column 'petal_width' more than once"),
        ("rows.parquet", "no Parquet at all", "is no readable Parquet file"),
        ("rows.xlsx", "", "rows are read from .csv and .parquet"),
    ],
)
def test_what_is_no_table_of_rows_is_told(
    desk: Desk, name: str, content: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=said.replace(".", r"\.")):
        desk.score("iris", tmp_path / name, tmp_path / "out.csv")
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_database_that_cannot_be_read_is_told_without_its_password(desk: Desk, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'rows.db'}"
    with pytest.raises(DataError, match=r"SQL table absent cannot be read: .*no such table"):
        desk.score("iris", SqlRows(url, table="absent"), tmp_path / "out.csv")
    with pytest.raises(DataError) as refused:
        desk.score("iris", SqlRows("no://someone:secret@url", query="SELECT 1"), tmp_path / "out.csv")
    assert "secret" not in str(refused.value)


def test_an_output_that_cannot_be_is_refused_before_anything_is_read(desk: Desk, rows: Path) -> None:
    for out, said in (
        ("out.txt", "written as .parquet or .csv"),
        (rows.name, "is also the input"),
        ("", "folder"),
    ):
        with pytest.raises(DataError, match=said):
            desk.score("diabetes", rows, rows.parent / out)


def test_two_do_not_write_one_file(desk: Desk, rows: Path, tmp_path: Path) -> None:
    with Parts.owned(tmp_path / "out.csv"), pytest.raises(BusyError, match=r"out\.csv is being written"):
        desk.score("diabetes", rows, tmp_path / "out.csv")


def test_parts_of_other_rows_are_not_taken_up(desk: Desk, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    interrupted(desk, rows, out)
    Desk.write_rows(rows, 9_499)
    assert desk.score("diabetes", rows, out).resumed == 0
    assert len(pd.read_parquet(out)) == 9_499


def test_a_database_is_read_once_however_often_scoring_is_killed(desk: Desk, tmp_path: Path) -> None:
    source = write(sent("iris"), "sql", tmp_path)
    interrupted(desk, source, tmp_path / "out.csv", model="iris", after=0)
    (tmp_path / "rows.db").unlink()
    assert desk.score("iris", source, tmp_path / "out.csv").rows == 1_200


class Stopped(Exception):
    """Ends a scoring as a kill would: nothing is tidied up."""


def interrupted(desk: Desk, source: Any, out: Path, *, model: str = "diabetes", after: int = 2_000) -> None:
    def stop(progress: Any) -> None:
        if progress.rows > after:
            raise Stopped

    with pytest.raises(Stopped):
        desk.score(model, source, out, progress=stop)


def test_progress_tells_rows_rate_and_what_remains(desk: Desk, rows: Path, tmp_path: Path) -> None:
    interrupted(desk, rows, tmp_path / "out.csv", after=4_000)
    seen: list[Any] = []
    scored = desk.score("diabetes", rows, tmp_path / "out.csv", progress=seen.append)
    assert [each.rows for each in seen] == [*range(scored.resumed + 2_000, 9_500, 2_000), 9_500]
    assert {each.total for each in seen} == {9_500}
    assert scored.resumed >= 4_000
    assert all(each.rate > 0 for each in seen)
    assert seen[-1].remaining == 0


def test_logged_rows_are_in_the_log_once_however_often_they_are_scored(desk: Desk, tmp_path: Path) -> None:
    rows = sent("visits")
    source, log = write(rows, "csv", tmp_path), tmp_path / "log"
    for name in ("a.parquet", "b.csv"):
        desk.score("visits", source, tmp_path / name, log=log)
    found = PredictionLog(log).window("visits", datetime(2023, 1, 1), datetime(2025, 1, 1), datetime.max)
    written = pd.read_parquet(tmp_path / "a.parquet")
    assert sorted(found["prediction_id"]) == sorted(written["prediction_id"])
    assert set(found["arm"]) == {"batch"}
    one = PredictionLog(log).find(written["prediction_id"][1_234])
    assert one is not None
    assert one.output == written["prediction"][1_234]
    wanted = {k: None if v != v else v for k, v in rows.iloc[1_234].items()}
    assert {**one.inputs, "visited_at": pd.Timestamp(one.inputs["visited_at"])} == wanted
    assert one.event_time == rows["visited_at"][1_234]


def test_feedback_about_a_customer_finds_a_prediction_of_a_file(desk: Desk, tmp_path: Path) -> None:
    rows = sent("visits", times=1).assign(customer=range(400)).head(3)
    log = tmp_path / "log"
    desk.score("visits", write(rows, "parquet", tmp_path), tmp_path / "out.parquet", log=log)
    made = pd.read_parquet(tmp_path / "out.parquet")["prediction_id"]
    recorder = Recorder(SegmentWriter(log, "gateway"), b"secret")
    at = microseconds(datetime(2100, 1, 1))
    recorder.entity_feedback("visits", [("1", at, 1, at)])
    recorder.close()
    known = [PredictionLog(log).label(each) for each in made]
    assert [label and label.label for label in known] == [None, 1, None]
    wrong = write(rows.assign(customer=[None, True, False]), "parquet", tmp_path)
    with pytest.raises(DataError, match="row 2: column 'customer': an entity must be text or a number"):
        desk.score("visits", wrong, tmp_path / "out.parquet")


def test_the_faster_form_is_taken_only_for_many_rows_and_says_so(desk: Desk) -> None:
    package = desk.proven("diabetes").resident.package
    matrix = diabetes().rows.to_numpy("float32")
    assert choose(package, matrix, MEASURED_FROM - 1).form == "onnx"
    measured = choose(package, matrix, MEASURED_FROM)
    assert "rows/s" in measured.says
    assert measured.says.startswith(measured.form)


@pytest.mark.parametrize("model", TRAININGS)
def test_both_forms_of_a_model_score_alike(desk: Desk, model: str, tmp_path: Path) -> None:
    source = write(sent(model), "parquet", tmp_path)
    for form in ("onnx", "native"):
        desk.score(model, source, tmp_path / f"{form}.parquet", form=form)
    onnx, native = (pd.read_parquet(tmp_path / f"{form}.parquet") for form in ("onnx", "native"))
    for name in onnx.select_dtypes("number"):
        distance = np.abs(onnx[name] - native[name]) / np.maximum(1, np.abs(native[name]))
        assert distance.max() <= TOLERANCE


@pytest.mark.parametrize("model", TRAININGS)
def test_the_trial_of_the_gate_answers_as_the_package(desk: Desk, model: str) -> None:
    package, rows = desk.proven(model).resident.package, TRAININGS[model].rows
    assert (scored_through_files(package, rows) == package.predict(rows)).all()


def test_a_full_disk_is_told_and_what_was_done_is_taken_up(desk: Desk, rows: Path, tmp_path: Path) -> None:
    desk.score("diabetes", rows, tmp_path / "whole.parquet")
    home = shutil.copytree(desk.fleet.home.root, tmp_path / "home")
    for size in (3_000, 20_000):
        command = [sys.executable, TRIAL, "limited", home, rows, tmp_path / "out.parquet", str(size)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "the disk is full" in done.stdout, size
        assert not (tmp_path / "out.parquet").exists()
    scored = desk.score("diabetes", rows, tmp_path / "out.parquet")
    assert scored.resumed > 0
    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    with pytest.raises(StorageError):
        desk.score("diabetes", rows, rows / "out.parquet")


@pytest.mark.slow
def test_killed_anywhere_and_run_again_it_is_as_if_nothing_had_happened(
    desk: Desk, rows: Path, tmp_path: Path, record_property: Any
) -> None:
    desk.score("diabetes", rows, tmp_path / "whole.parquet", log=tmp_path / "log")
    home = shutil.copytree(desk.fleet.home.root, tmp_path / "home")
    before = len(desk.audit.entries())
    trials = tmp_path / "trials"
    done = subprocess.run(
        [sys.executable, TRIAL, "kill", home, rows, trials, str(KILLS)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    killed = sorted(trials.iterdir(), key=lambda each: int(each.name))
    record_property("kill_points", len(killed))
    assert len(killed) > KILLS / 2
    here = Desk(type(desk.fleet)(type(desk.fleet.home)(home)), tmp_path / "packages")
    resumed = set()
    for trial in killed:
        scored = here.score("diabetes", rows, trial / "out.parquet", log=trial / "log")
        resumed.add(scored.resumed)
        assert [each.name for each in trial.iterdir() if each.name != "log"] == ["out.parquet"]
        assert (trial / "out.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
        log = PredictionLog(trial / "log").window(
            "diabetes", datetime(2000, 1, 1), datetime.max, datetime.max
        )
        assert len(log) == log["prediction_id"].nunique() == 9_500, trial.name
    assert len(resumed) > 2
    entered = Counter(entry.detail["job"] for entry in here.audit.entries()[before:])
    # A trial that was killed when all was done and tidied up is scored once more from the beginning.
    assert set(entered.values()) == {1}
    assert here.audit.verify(here.fleet.signer.verifier) == []
