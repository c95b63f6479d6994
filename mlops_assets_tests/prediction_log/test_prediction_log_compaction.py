"""Compaction moves each row once, whatever is killed, damaged or done at the same time."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.prediction_log.catalogue import Catalogue
from mlops_assets.prediction_log.compaction import DAMAGED, Compaction, compact
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.records import SHADOW
from mlops_assets.prediction_log.segments import segments_in
from mlops_assets_tests.prediction_log import compaction_trial
from mlops_assets_tests.prediction_log.histories import FOREVER, History, hour
from mlops_assets_tests.prediction_log.random_histories import as_before
from mlops_assets_tests.together import together


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "log")


def all_of(folder: Path) -> Any:
    """Return everything that a log tells."""
    log = PredictionLog(folder)
    return {
        model: (
            log.window(model, hour(0), hour(999), FOREVER).to_json(),
            log.window(model, hour(0), hour(999), FOREVER, arm=SHADOW).to_json(),
            sorted(zip(*log.failures(model, hour(0), hour(999)), strict=True)),
            [loss.length for loss in log.losses()],
        )
        for model in log.models()
    }


def spoil(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 0xFF
    file.write_bytes(content)


def eventful(history: History) -> None:
    """Write two models' traffic over two days: some in files of before, the rest in segments, one damaged."""
    for part in range(4):
        first, *_ = history.answer([part, part + 20, part + 24], entities=["e", "f", "g"])
        history.answer([part], arm=SHADOW, base=first)
        history.label((first, part, 30 + part))
        if part == 0:
            history.answer([part], model="n")
            history.label_entity(("g", part + 25, part, 40))
            history.fail(422, part)
        history.rotate()
        if part == 0:
            compact(history.folder)
            as_before(history.folder)
    history.close()
    waiting = segments_in(history.folder)
    spoil(waiting[0].path, waiting[0].path.stat().st_size // 2)
    under_way = history.folder / "parquet" / "predictions" / "model=m" / "2024-01-01-under-way.parquet"
    under_way.write_text("half")


@pytest.mark.slow
def test_a_kill_anywhere_changes_no_row_and_is_mended_by_the_next_compaction(
    history: History, tmp_path: Path
) -> None:
    eventful(history)
    expected = all_of(history.folder)
    trial = [sys.executable, compaction_trial.__file__, str(history.folder), str(tmp_path / "killed")]
    done = subprocess.run(trial, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    killed = sorted((tmp_path / "killed").iterdir(), key=lambda folder: int(folder.name))
    assert len(killed) > 50
    states = set()
    for folder in killed:
        states.add((len(segments_in(folder)), len(list(folder.glob("parquet/*/*/*")))))
        assert all_of(folder) == expected, f"as it was left at point {folder.name}"
        compact(folder, batch_bytes=compaction_trial.BATCH_BYTES)
        assert all_of(folder) == expected, f"compacted again after point {folder.name}"
        assert segments_in(folder) == []
        assert len(list((folder / DAMAGED).iterdir())) == 1
        catalogue = Catalogue(folder)
        assert catalogue.consumed() == set()
        on_disk = {file.relative_to(folder).as_posix() for file in folder.glob("parquet/*/*/*")}
        assert on_disk == catalogue.all_paths()
    assert len(states) > 8, "the kills did not leave it in different states"


def _compacted(folder: Path) -> Compaction:
    return compact(folder)


def test_compactions_at_the_same_time_move_each_row_once(history: History) -> None:
    eventful(history)
    expected = all_of(history.folder)
    done = together(_compacted, [history.folder] * 3)
    assert sorted(each.segments for each in done)[:2] == [0, 0]
    assert all_of(history.folder) == expected


def test_readers_and_writers_do_not_notice_compaction(tmp_path: Path) -> None:
    history, over = History(tmp_path), threading.Event()
    history.writer.close()
    history.writer = type(history.writer)(tmp_path, "w", most_bytes=4_000)
    history.recorder.writer = history.writer
    log, compactions = PredictionLog(tmp_path), []

    def work() -> None:
        while not over.is_set():
            compactions.append(compact(tmp_path))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        n = -1
        while n < 300 or sum(each.segments for each in compactions) < 4:
            n += 1
            (made,) = history.answer([n % 48])
            history.label((made, n, 100))
            if n % 15 == 0:
                found = log.window("m", hour(0), hour(48), FOREVER)
                assert sorted(found["label"].tolist()) == list(range(n + 1))
    finally:
        over.set()
        worker.join()
        history.close()
    compact(tmp_path)
    assert log.window("m", hour(0), hour(48), FOREVER)["prediction_id"].nunique() == n + 1
    assert segments_in(tmp_path) == []


def test_damage_costs_the_record_it_hits_and_is_told_for_ever(history: History) -> None:
    made = [history.answer([n])[0] for n in range(30)]
    history.close()
    (segment,) = segments_in(history.folder)
    spoil(segment.path, segment.path.stat().st_size // 2)
    log = PredictionLog(history.folder)
    (loss,) = log.losses()
    assert loss.segment == segment.name
    assert loss.offset < segment.path.stat().st_size // 2 < loss.offset + loss.length
    assert compact(history.folder).losses == (loss,)
    assert log.losses() == [loss]
    found = log.window("m", hour(0), hour(48), FOREVER)["prediction_id"].tolist()
    assert len(found) == 29
    assert set(found) < set(made)
    assert [file.name for file in (history.folder / DAMAGED).iterdir()] == [segment.name]
    assert compact(history.folder) == Compaction(0, 0, ())


def test_answers_whose_schema_is_lost_are_told(history: History) -> None:
    history.answer([1])
    history.answer([2])
    history.fail(422, 3)
    history.close()
    (segment,) = segments_in(history.folder)
    spoil(segment.path, 20)
    done = compact(history.folder)
    assert [("damaged" in loss.reason, "schema 0" in loss.reason) for loss in done.losses] == [
        (True, False), (False, True), (False, True),
    ]  # fmt: skip
    assert done.rows == 1


def test_a_torn_end_is_no_loss(history: History) -> None:
    history.answer([1])
    history.rotate()
    history.close()
    segment = segments_in(history.folder)[0]
    whole = segment.path.read_bytes()
    segment.path.write_bytes(whole + whole[: len(whole) // 3])
    done = compact(history.folder)
    assert (done.rows, done.losses) == (1, ())


def test_a_day_of_a_model_stays_one_small_file(history: History) -> None:
    for n in range(4):
        history.answer([n, 23])
        history.rotate()
        assert compact(history.folder).rows == 2
    history.close()
    (file,) = Catalogue(history.folder).files("predictions", "m")
    assert (file.day, file.rows) == ("2024-01-01", 8)
    assert len(list(history.folder.glob("parquet/*/*/*"))) == 1


def test_a_segment_that_is_written_is_left_alone(history: History) -> None:
    history.answer([1])
    assert compact(history.folder) == Compaction(0, 0, ())
    history.answer([2])
    history.close()
    assert compact(history.folder).rows == 2


def test_parquet_is_readable_without_us(history: History) -> None:
    duckdb = pytest.importorskip("duckdb")
    history.answer([5, 1], columns={"x": [1.5, 2.5]}, outputs=[0.1, 0.2])
    history.close()
    compact(history.folder)
    files = f"{history.folder}/parquet/predictions/*/*.parquet"
    found = duckdb.sql(f"SELECT hour(event_time), \"input.x\", output FROM '{files}'").fetchall()
    assert found == [(1, 2.5, 0.2), (5, 1.5, 0.1)]


def test_a_full_disk_while_compacting_loses_nothing(history: History, tmp_path: Path) -> None:
    eventful(history)
    expected = all_of(history.folder)
    shutil.copytree(history.folder, tmp_path / "copy")
    code = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from mlops_assets.errors import StorageError\n"
        "from mlops_assets.prediction_log.compaction import compact\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))\n"
        "try:\n    compact(Path(sys.argv[1]))\nexcept StorageError as error:\n    print(error)\n"
    )
    for size in (0, 1_000, 5_000, 20_000):
        arguments = [sys.executable, "-c", code, str(tmp_path / "copy"), str(size)]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert "the disk is full" in done.stdout, size
        assert all_of(tmp_path / "copy") == expected
    compact(tmp_path / "copy")
    assert all_of(tmp_path / "copy") == expected
    assert os.listdir(tmp_path / "copy" / DAMAGED)
