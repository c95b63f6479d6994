"""What was asked and answered comes back, whatever it is and however often its file is written anew."""

import functools
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from mlops_assets.prediction_log.catalogue import Catalogue
from mlops_assets.prediction_log.compaction import compact
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.records import SHADOW
from mlops_assets_tests.prediction_log.histories import FOREVER, History, hour
from mlops_assets_tests.prediction_log.json_values import told, told_rows
from mlops_assets_tests.prediction_log.random_histories import STEPS, as_before, perform


def require_all_is_found(history: History) -> None:
    log = PredictionLog(history.folder)
    expected = history.expected("m", 0, 99, 99)
    found = log.window("m", hour(0), hour(99), FOREVER)
    assert found["prediction_id"].tolist() == [identity for identity, *_ in expected]
    assert told_rows(found["inputs"]) == told_rows(inputs for _, _, _, inputs, _ in expected)
    assert told(found["output"]) == told(output for _, _, output, _, _ in expected)
    for identity, _, output, inputs, _ in expected[:5]:
        one = log.find(identity)
        assert one is not None
        assert told_rows([one.inputs]) == told_rows([inputs])
        assert told([one.output]) == told([output])
        assert told([log.answers("m", [identity])[identity][1]]) == told([output])


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_any_values_come_back_before_and_after_every_compaction(steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder))
        try:
            perform(history, steps)
            require_all_is_found(history)
            perform(history, [("compact",)])
            require_all_is_found(history)
            history.answer([0, 24, 48], columns={"a": [0.5, "x", None]}, outputs=[0.5, [0.5, 1], "x"])
            perform(history, [("compact",)])
            require_all_is_found(history)
        finally:
            history.close()


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "log")


def compacted(history: History) -> Path:
    """Compact what was written, and return the file that it is in."""
    history.rotate()
    compact(history.folder)
    (file,) = Catalogue(history.folder).files("predictions", "m")
    return history.folder / file.path


def types(file: Path, *names: str) -> list[str]:
    schema = pq.read_schema(file)
    return [str(schema.field(name).type) for name in names]


def test_each_input_is_a_column_of_its_type(history: History) -> None:
    columns = {"a": [1, 2], "b": [1, 0.5], "c": ["x", None], "d": [True, False], "e": [1, "x"]}
    history.answer([0, 1], columns=columns, outputs=[0.1, 1])
    history.answer([2], columns={"f": [None], "b": [7]})
    file = compacted(history)
    assert types(file, *(f"input.{name}" for name in "abcdef"), "output") == [
        "int64", "double", "string", "bool", "extension<arrow.json>", "null", "double"
    ]  # fmt: skip
    assert "input.e (JSON)" in str(pq.ParquetFile(file).schema), "Parquet tells it too"
    history.answer([3], columns={"a": [0.5], "f": ["x"], "c": [3]}, outputs=["yes"])
    assert types(compacted(history), "input.a", "input.f", "input.c", "output") == [
        "double", "string", "extension<arrow.json>", "extension<arrow.json>"
    ]  # fmt: skip
    history.close()


def test_an_input_that_is_called_like_a_column_of_ours_is_kept_apart(history: History) -> None:
    (made,) = history.answer(
        columns={"version": ["mine"], "output": [3], "columns": [1], "input.a": [2], "a": [4]}, outputs=[0.5]
    )
    compacted(history)
    history.close()
    found = PredictionLog(history.folder).find(made)
    assert found is not None
    assert (found.version, found.output) == ("1", 0.5)
    assert found.inputs == {"version": "mine", "output": 3, "columns": 1, "input.a": 2, "a": 4}


def test_an_infinity_is_told_as_text(history: History) -> None:
    (made,) = history.answer(columns={"a": [float("inf")], "b": [float("nan")]}, outputs=[float("-inf")])
    for _ in range(2):
        found = PredictionLog(history.folder).find(made)
        assert found is not None
        assert (found.inputs, found.output) == ({"a": "inf", "b": None}, "-inf")
        compacted(history)
    history.close()


def test_files_of_before_are_read_and_become_new_when_they_are_written_anew(history: History) -> None:
    history.answer([0, 1], columns={"a": [1, 2], "b": ["x", None]})
    history.answer([2], columns={"b": [0.5]})
    history.answer([3], arm=SHADOW)
    compacted(history)
    as_before(history.folder)
    require_all_is_found(history)
    history.answer([4], columns={"a": [0.5]})
    assert "inputs" not in pq.read_schema(compacted(history)).names
    require_all_is_found(history)
    history.close()


def test_only_the_inputs_that_are_asked_for_are_read(history: History) -> None:
    history.answer([0, 1], columns={"a": [1, 2], "b": [3, 4]})
    file = compacted(history)
    history.close()
    group = pq.read_metadata(file).row_group(0)
    (chunk,) = (c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == "input.b")
    content = bytearray(file.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    file.write_bytes(content)
    log = PredictionLog(history.folder)
    rollout = functools.partial(log.rollout, "m", "2", {0: 25}, datetime(1970, 1, 1), FOREVER)
    assert rollout(columns=["a"])["a"].tolist() == [1, 2]
    with log.served("m", hour(0), hour(9)) as served:
        assert [array.to_pylist() for array in served.values("a")] == [[1, 2]]
        with pytest.raises(OSError, match=r"."):
            list(served.values("b"))
    with pytest.raises(OSError, match=r"."):
        rollout(columns=["b"])
