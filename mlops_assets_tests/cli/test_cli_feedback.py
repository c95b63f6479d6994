"""``mlops-assets feedback``: what turned out to be true, from a file of any form, as often as one likes."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlops_assets.cli.feedback_file import pieces_of
from mlops_assets.errors import DataError
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets_tests.lifecycles import Clinic

Frame = pd.DataFrame


def write_csv(frame: Frame, path: Path) -> None:
    frame.to_csv(path, index=False)


def write_parquet(frame: Frame, path: Path) -> None:
    frame.to_parquet(path, index=False)


def write_lines(frame: Frame, path: Path) -> None:
    rows = (row.dropna().to_dict() for _, row in frame.astype("object").iterrows())
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


FORMS: dict[str, Callable[[Frame, Path], None]] = {
    ".csv": write_csv,
    ".parquet": write_parquet,
    ".ndjson": write_lines,
    ".jsonl": write_lines,
}


def read(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Return what a file says, by the number of its line."""
    return [
        (first + n, json.loads(line))
        for first, piece in pieces_of(path)
        for n, line in enumerate(piece.split(b"\n"))
        if line
    ]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_every_form_says_the_same_wherever_it_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, at_once: int
) -> None:
    monkeypatch.setattr("mlops_assets.cli.feedback_file._LINES_AT_ONCE", at_once)
    frame = pd.DataFrame(
        {
            "prediction_id": ["0017", "b", None, "d"],
            "entity": [None, None, "0042", None],
            "event_time": [None, None, "2024-01-01T05:00:00", None],
            "kind": [None, "rating", None, "label"],
            "value": [1.0, 4.5, 0.0, 1.0],
            "observed_at": ["2024-01-02", None, None, None],
        }
    ).astype({"value": "float64"})
    FORMS[form](frame, tmp_path / f"said{form}")
    first = 2 if form == ".csv" else 1
    assert read(tmp_path / f"said{form}") == [
        (first, {"prediction_id": "0017", "value": 1.0, "observed_at": "2024-01-02"}),
        (first + 1, {"prediction_id": "b", "kind": "rating", "value": 4.5}),
        (first + 2, {"entity": "0042", "event_time": "2024-01-01T05:00:00", "value": 0.0}),
        (first + 3, {"prediction_id": "d", "kind": "label", "value": 1.0}),
    ]


def test_times_in_parquet_are_told_as_text(tmp_path: Path) -> None:
    times = pd.to_datetime(["2024-01-02T03:04:05.000006"])
    pd.DataFrame({"prediction_id": ["a"], "label": [1], "observed_at": times}).to_parquet(
        tmp_path / "x.parquet"
    )
    assert read(tmp_path / "x.parquet")[0][1]["observed_at"] == "2024-01-02T03:04:05.000006"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.txt", b"", "must end with one of .csv, .parquet, .ndjson, .jsonl"),
        ("x.csv", b"", "no CSV file that can be read"),
        (
            "x.csv",
            b"id,label\n1,2\n",
            "nor 'entity' and 'event_time'; it has id, label",
        ),
        ("x.csv", b"prediction_id\n1\n", "no column 'label' or 'value'"),
        ("x.csv", b"prediction_id,label\n\xff,2\n", "no CSV file that can be read"),
        ("x.csv", b"prediction_id,label\n1,2,3,4\n1\n5,6,7,8,9\n", "no CSV file that can be read"),
        ("x.parquet", b"prediction_id,label\n1,2\n", "no Parquet file that can be read"),
    ],
)
def test_a_file_of_another_form_is_one_line(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r".") as raised:
        read(tmp_path / name)
    assert words in str(raised.value)
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "nowhere.csv")


def test_a_file_may_be_sent_again_and_counts_once(warm: Any, serving_clinic: Clinic, tmp_path: Path) -> None:
    serving_clinic.serve_some(rows=3, start="2024-02-05")
    log = PredictionLog(serving_clinic.home.prediction_log)

    def known() -> list[Any]:
        return list(log.window("tumour", datetime.min, datetime.max, datetime.max)["label"])

    ids = log.window("tumour", datetime.min, datetime.max, datetime.max)["prediction_id"].tolist()
    file = tmp_path / "labels.csv"
    frame = pd.DataFrame({"prediction_id": ids, "label": [1, 0, 1], "observed_at": "2090-01-01"})
    frame.to_csv(file, index=False)

    def send(*options: str) -> Any:
        where = {"cwd": serving_clinic.project.root, "home": serving_clinic.root}
        return warm.cli("feedback", "tumour", file, *options, **where)

    once = send("--json")
    assert once.code == 0, once.err
    assert once.json == {"model": "tumour", "accepted": 3, "refused": 0, "errors": []}
    assert known() == [1, 0, 1]
    frame.loc[len(frame)] = ["nobody", 1, "2090-01-01"]
    frame.to_csv(file, index=False)
    again = send()
    assert again.code == 1
    assert "3 taken, 1 refused" in again.out
    assert again.err == f"{file}:5: no prediction of tumour has the id 'nobody'\n"
    assert known() == [1, 0, 1]
