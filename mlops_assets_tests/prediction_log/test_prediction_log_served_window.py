"""A window read column by column is the window read row by row."""

import tempfile
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.prediction_log import parquet_writer, served_window
from mlops_assets.prediction_log.compaction import compact
from mlops_assets.prediction_log.input_columns import field_of
from mlops_assets.prediction_log.instants import instant
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.records import LABEL, RATING, SHADOW
from mlops_assets.prediction_log.served_window import ServedWindow
from mlops_assets.prediction_log.typed_columns import plain
from mlops_assets_tests.prediction_log.histories import FOREVER, History, hour
from mlops_assets_tests.prediction_log.json_values import told
from mlops_assets_tests.prediction_log.random_histories import STEPS, perform

HOURS = st.sampled_from([0, 1, 23, 24, 30, 60])


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "log")


def listed(chunks: Any) -> list[Any]:
    return [value for chunk in chunks for value in chunk.to_pylist()]


def require_same(chunks: Iterable[pa.Array], expected: list[Any]) -> None:
    """Require what the chunks of one column hold, each of whatever type it is."""
    done = 0
    for array in chunks:
        assert told(plain(array)) == told(expected[done : done + len(array)])
        done += len(array)
    assert done == len(expected)


@settings(max_examples=25, deadline=None)
@given(STEPS, HOURS, HOURS, st.sampled_from([1, 3, 1000]))
def test_columns_of_any_history_are_those_of_its_rows(
    steps: list[tuple[Any, ...]], start: int, end: int, at_once: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_writer, "ROW_GROUP", 2)
        patch.setattr(served_window, "_ROWS_AT_ONCE", at_once)
        history = History(Path(folder))
        perform(history, steps)
        history.close()
        for _ in range(2):
            require_the_window(history, start, end)
            compact(history.folder)


def require_the_window(history: History, start: int, end: int) -> None:
    log = PredictionLog(history.folder)
    expected = log.window("m", hour(start), hour(end), FOREVER).set_index("prediction_id")
    with log.served("m", hour(start), hour(end)) as served:
        assert served.rows == len(expected)
        assert served.versions == Counter(expected["version"])
        assert {*served.columns} == {name for row in expected["inputs"] for name in row}
        for version in (None, *served.versions, "never"):
            own = expected if version is None else expected[expected["version"] == version]
            ids = listed(batch["prediction_id"] for batch in served.base(["prediction_id"], version))
            assert sorted(ids) == sorted(own.index)
            rows = own.loc[ids]
            require_same(served.outputs(version), rows["output"].tolist())
            for name in (*served.columns, "never"):
                require_same(served.values(name, version), [row.get(name) for row in rows["inputs"]])
        several = [*served.batches(served.columns, ["prediction_id", "event_time", "output"])]
        for name in served.columns:
            assert [b[field_of(name)].to_pylist() for b in several] == [
                array.to_pylist() for array in served.values(name)
            ]
        ids = listed(batch["prediction_id"] for batch in several)
        assert listed(batch["event_time"] for batch in several) == expected.loc[ids, "event_time"].tolist()
        for kind in (LABEL, RATING):
            require_labels(served, history, ids, kind)


def require_labels(served: ServedWindow, history: History, ids: list[str], kind: str) -> None:
    """Require what the history says, in the order in which the window has the predictions."""
    by_id = {each.id: history.last_said(each, kind, 30) for each in history.served}
    expected = {identity: said for identity in ids if (said := by_id[identity]) is not None}
    found = served.labels(hour(30), kind)
    assert found["prediction_id"].to_pylist() == [*expected]
    assert found["observed_at"].to_pylist() == [instant(said.observed) for said in expected.values()]
    values = [said.value for said in expected.values()]
    require_same([found["value"].combine_chunks()], values)
    if any(isinstance(value, float) for value in values) and not any(isinstance(v, str) for v in values):
        assert found["value"].type == pa.float64()


def test_what_callers_did_not_see_is_left_out(history: History) -> None:
    (made,) = history.answer([1], outputs=[0.1], columns={"a": [1]})
    history.answer([1], outputs=[0.9], columns={"a": [2]}, arm=SHADOW, base=made)
    history.answer([1], outputs=[0.8], columns={"b": [3]}, probe=True)
    history.answer([30], outputs=[0.7], columns={"c": [4]})
    history.label((made, 1, 5))
    for _ in range(2):
        with PredictionLog(history.folder).served("m", hour(0), hour(24)) as served:
            assert (served.rows, served.versions, served.columns) == (1, {"1": 1}, ("a",))
            assert listed(served.values("a")) == [1]
            assert listed(served.outputs()) == [0.1]
            assert served.labels(FOREVER).select(["prediction_id", "value"]).to_pylist() == [
                {"prediction_id": made, "value": 1.0}
            ]
        history.rotate()
        compact(history.folder)
    history.close()


def test_a_window_of_which_nothing_is_known_is_empty(tmp_path: Path) -> None:
    with PredictionLog(tmp_path / "none").served("m", hour(0), hour(24)) as served:
        assert (served.rows, served.versions, served.columns) == (0, {}, ())
        assert listed(served.values("a")) == listed(served.outputs()) == [*served.base(["arm"])] == []
        assert served.labels(FOREVER).to_pylist() == []


def test_text_is_read_as_categories(history: History) -> None:
    history.answer([0, 1, 2], columns={"region": ["north", "south", "north"]})
    for _ in range(2):
        with PredictionLog(history.folder).served("m", hour(0), hour(24)) as served:
            (found,) = served.values("region")
            assert found.type == pa.dictionary(pa.int32(), pa.string())
            assert found.dictionary.to_pylist() == ["north", "south"]
        history.rotate()
        compact(history.folder)
    history.close()


def test_what_is_read_is_not_compacted_away_meanwhile(history: History) -> None:
    history.answer([0, 1], columns={"a": [1, 2]})
    history.rotate()
    compact(history.folder)
    history.answer([2], columns={"a": [3]})
    history.close()
    worker = threading.Thread(target=compact, args=[history.folder])
    with PredictionLog(history.folder).served("m", hour(0), hour(24)) as served:
        worker.start()
        worker.join(0.3)
        assert worker.is_alive(), "it waits"
        assert listed(served.values("a")) == [1, 2, 3]
    worker.join()
    with PredictionLog(history.folder).served("m", hour(0), hour(24)) as served:
        assert [len(array) for array in served.values("a")] == [3]


def test_memory_does_not_grow_with_the_rows(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is read, never more than a chunk is held, however long the window is."""
    monkeypatch.setattr(parquet_writer, "ROW_GROUP", 1000)
    monkeypatch.setattr(served_window, "_ROWS_AT_ONCE", 1000)
    rows = 4000
    for day in range(6):
        times = [24 * day + row / rows for row in range(rows)]
        columns = {"a": [row / 7 for row in range(rows)], "b": [f"v{row % 5}" for row in range(rows)]}
        history.answer(times, columns=columns)
    history.rotate()
    compact(history.folder)
    history.close()

    size, held = 0, []
    with PredictionLog(history.folder).served("m", hour(0), hour(24 * 6)) as served:
        assert served.rows == 6 * rows
        for read in (
            served.values("a"),
            served.values("b"),
            served.outputs(),
            served.base(["prediction_id"]),
        ):
            for chunk in read:
                held.append(pa.total_allocated_bytes())
                size += chunk.nbytes
    assert max(held) - min(held) < size / 4
