"""One window, read from a real prediction log column by column, beside the reference of its version."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_assets.monitoring.distances import distances
from mlops_assets.monitoring.profiles import profile as profiles
from mlops_assets.monitoring.profiles.column import CategoricalProfile, NumericProfile, of_numbers
from mlops_assets.monitoring.profiles.profile import Profile, column_profile
from mlops_assets.monitoring.reference import CONFIDENCE, PREDICTION, Reference, reference_of
from mlops_assets.monitoring.watching import Watched, profile_of_window, watch
from mlops_assets.prediction_log import parquet_writer, served_window
from mlops_assets.prediction_log.compaction import compact
from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.records import SHADOW, Answers
from mlops_assets.specs.data_spec import Column
from mlops_assets.training.manifest import Manifest
from mlops_assets_tests.written_log import WrittenLog

INPUTS = (
    Column(name="a"),
    Column(name="s", type="string"),
    Column(name="n", type="integer"),
    Column(name="secret", log="drop"),
)
VERSION = Manifest(
    "m", "binary_classification", INPUTS, (), {}, None, (0, 1), "", "at", "y", {}
)  # fmt: skip
OF_THREE = Manifest(
    "m", "multiclass_classification", (), (), {}, None, ("x", "y", "z"), "", "at", "y", {}
)  # fmt: skip
FIRST = datetime(2024, 3, 4)
DAY = timedelta(days=1)


def rows(random: np.random.Generator, n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"a": random.normal(size=n), "s": random.choice(["x", "y", "z"], n), "n": random.poisson(4, n)}
    )


def says(frame: pd.DataFrame) -> Any:
    return 1 / (1 + np.exp(-pd.to_numeric(frame["a"], errors="coerce").to_numpy()))


@pytest.fixture(scope="module")
def holdout() -> pd.DataFrame:
    return rows(np.random.default_rng(0), 4000)


@pytest.fixture(scope="module")
def reference(holdout: pd.DataFrame) -> Reference:
    columns = {"a": of_numbers(holdout["a"].to_numpy()), PREDICTION: of_numbers(says(holdout))}
    columns["n"] = of_numbers(holdout["n"].to_numpy())
    texts = column_profile(iter([pa.array(holdout["s"].tolist())]), "string")
    return Reference(Profile({**columns, "s": texts}), None)


@pytest.fixture
def log(tmp_path: Path) -> WrittenLog:
    return WrittenLog(tmp_path / "log")


NUMBERS = count()


def answer(
    log: WrittenLog,
    frame: pd.DataFrame,
    version: str = "1",
    outputs: Sequence[Any] | None = None,
    **more: Any,
) -> None:
    """Have a version answer rows on the first day, in requests of a hundred."""
    said = says(frame).tolist() if outputs is None else outputs
    form = log.recorder.form("m", version, [*frame])
    for start in range(0, len(frame), 100):
        part = frame.iloc[start : start + 100]
        at = microseconds(FIRST + timedelta(minutes=start / 100))
        log.recorder.answers(
            form,
            Answers(
                base=f"{at:014x}{next(NUMBERS):06d}{version}", served_at=at, caller="c", latency_us=900,
                event_times=None, inputs=[part[name].tolist() for name in part],
                outputs=said[start : start + 100], **{"arm": "champion", "probe": False, **more},
            ),
        )  # fmt: skip


def profile(log: PredictionLog, day: int = 0, version: Manifest = VERSION) -> Profile:
    start = FIRST + day * DAY
    with log.served("m", start, start + DAY) as served:
        return profile_of_window(served, version, "1")


def look(log: PredictionLog, reference: Reference, day: int = 0) -> Watched:
    return watch(
        profile(log, day), reference, FIRST + day * DAY, "day", [], alpha=0.01, least_effect=0.03
    )  # fmt: skip


def test_a_window_is_told_column_by_column_and_how_far_it_is_from_the_holdout(
    log: WrittenLog, reference: Reference, holdout: pd.DataFrame
) -> None:
    frame = rows(np.random.default_rng(1), 2000)
    moved = frame.assign(a=frame["a"] + 0.3, s=frame["s"].replace("z", "w"))
    answer(log, moved.assign(secret=1.0, undeclared="?"))
    found = look(log, reference)
    assert {*found.profile.columns} == {*found.distances} == {"a", "s", "n", PREDICTION}
    assert {each.rows.all for each in found.profile.columns.values()} == {2000}
    assert found.distances["a"].wasserstein is not None
    assert found.distances["a"].wasserstein.value == pytest.approx(0.3, abs=0.05)
    assert found.distances["a"] == distances(
        of_numbers(holdout["a"].to_numpy()), of_numbers(moved["a"].to_numpy())
    )
    for name, differs in {"a": True, "s": True, PREDICTION: True, "n": False}.items():
        assert (found.distances[name].psi.p_value < 0.001) == differs
    assert found.distances["n"].psi.value < 0.02


def test_a_profile_is_the_same_bytes_before_and_after_compaction(log: WrittenLog) -> None:
    frame = rows(np.random.default_rng(3), 1500)
    mixed = frame.astype(object)
    mixed.loc[::50, "a"] = "7"
    mixed.loc[1::50, "a"] = None
    mixed.loc[2::50, "n"] = 2.5
    mixed.loc[3::50, "n"] = "none"
    mixed.loc[::50, "s"] = 7
    mixed.loc[1::50, "s"] = "7"
    answer(log, frame)
    answer(log, mixed, version="2")
    answer(log, frame.assign(s=4, n=frame["n"] + 0.0), version="2")
    answer(log, frame.assign(s=0.5), version="2")
    answer(log, frame, arm=SHADOW)
    answer(log, frame, probe=True)
    before = profile(log)
    log.close()
    assert compact(log._folder).rows == 9000
    after = profile(log)
    assert after.to_bytes() == before.to_bytes()
    a, s, n, said = (after.columns[name] for name in ("a", "s", "n", PREDICTION))
    assert (a.rows.all, a.rows.refused, a.rows.missing, a.rows.examples) == (6000, 30, 30, ("7",))
    assert (n.rows.refused, n.rows.examples) == (60, ("2.5", "none"))
    assert isinstance(s, CategoricalProfile)
    assert (s.rows.refused, s.rows.examples, s.categories["7"]) == (3030, ("0.5", "4", "7"), 30)
    assert isinstance(said, NumericProfile)
    assert said.rows.all == 1500, "what version 1 said to callers"


def test_of_several_classes_the_likeliest_and_its_probability_are_watched(log: WrittenLog) -> None:
    sure, odd = [[0.1, 0.9, 0.0], [0.5, 0.2, 0.3]], [[1, 0, 0], None, [0.5, None, 0.5], [0.5], "z"]
    for outputs in (sure, odd):
        answer(log, pd.DataFrame(index=range(len(outputs))), outputs=outputs)
    before = profile(log, version=OF_THREE)
    log.close()
    compact(log._folder)
    after = profile(log, version=OF_THREE)
    assert after.to_bytes() == before.to_bytes()
    said, confidence = after.columns[PREDICTION], after.columns[CONFIDENCE]
    assert isinstance(said, CategoricalProfile)
    assert isinstance(confidence, NumericProfile)
    assert dict(said.categories.counts) == {"x": 2, "y": 1}
    assert confidence.cells.values.tolist() == [0.5, 0.9, 1.0]


def test_of_several_classes_the_profile_is_named_as_that_of_the_holdout(log: WrittenLog) -> None:
    answer(log, pd.DataFrame(index=range(2)), outputs=[[0.1, 0.9, 0.0], [0.5, 0.2, 0.3]])
    times = pd.Series([FIRST, FIRST])
    made = reference_of(
        pd.DataFrame({"y": ["x", "y"]}), times, times == FIRST, lambda rows: np.eye(3)[: len(rows)],
        OF_THREE, "day",
    )  # fmt: skip
    with log.served("m", FIRST, FIRST + DAY) as served:
        found = profile_of_window(served, OF_THREE, "1")
    assert {*found.columns} == {*made.profile.columns} - {OF_THREE.target}


def test_a_column_that_nobody_sends_any_more_is_missing_and_has_no_distance(
    log: WrittenLog, reference: Reference
) -> None:
    answer(log, rows(np.random.default_rng(4), 500).drop(columns="n"))
    found = look(log, reference)
    assert (found.profile.columns["n"].rows.all, found.profile.columns["n"].rows.missing) == (500, 500)
    assert {*found.distances} == {"a", "s", PREDICTION}


def test_an_empty_window_has_no_distances(log: WrittenLog, reference: Reference) -> None:
    answer(log, rows(np.random.default_rng(5), 100))
    found = look(log, reference, day=3)
    assert {name: each.rows.all for name, each in found.profile.columns.items()} == {"a": 0, "s": 0, "n": 0}
    assert not found.distances


def test_without_a_baseline_there_are_distances_and_nothing_to_follow(
    log: WrittenLog, reference: Reference
) -> None:
    answer(log, rows(np.random.default_rng(7), 500))
    found = look(log, reference)
    assert found.distances
    assert found.figures is None
    assert not found.movements


def test_memory_does_not_grow_with_the_rows(log: WrittenLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow never holds more than some chunks, however long the window is."""
    monkeypatch.setattr(profiles, "_AT_ONCE", 500)
    monkeypatch.setattr(parquet_writer, "ROW_GROUP", 500)
    monkeypatch.setattr(served_window, "_ROWS_AT_ONCE", 500)
    monkeypatch.setattr(served_window, "_VALUES_AT_ONCE", 1000)
    frame = rows(np.random.default_rng(8), 10_000)
    answer(log, frame)
    log.close()
    compact(log._folder)
    held = []
    with log.served("m", FIRST, FIRST + DAY) as served:
        before = pa.total_allocated_bytes()
        read = served.pieces

        def pieces(columns: Sequence[str]) -> Any:
            for piece in read(columns):
                held.append(pa.total_allocated_bytes() - before)
                yield piece

        monkeypatch.setattr(served, "pieces", pieces)
        found = profile_of_window(served, VERSION, "1")
    assert found.columns["a"].rows.all == 10_000
    assert max(held) < 10_000 * 8 / 4
