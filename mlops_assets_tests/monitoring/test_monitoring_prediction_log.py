"""The prediction log keeps what was answered through threads, processes and kills."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import StorageError
from mlops_assets.monitoring.prediction_log import Label, Prediction, PredictionLog
from mlops_assets_tests.together import together

T0 = datetime(2024, 1, 1)
FOREVER = datetime(2100, 1, 1)


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    return PredictionLog(tmp_path / "deep" / "log.db")


def prediction(id_: str, hour: float = 0, **changes: Any) -> Prediction:
    given: dict[str, Any] = {
        "prediction_id": id_, "model": "m", "version": "1", "event_time": T0 + timedelta(hours=hour),
        "served_at": T0, "inputs": {"a": 1.5, "s": "é", "gap": None}, "output": 0.25, "latency_ms": 3.0,
    }  # fmt: skip
    return Prediction(**{**given, **changes})


def window(log: PredictionLog, hours: float = 24, known_by: datetime = FOREVER) -> Any:
    return log.window("m", T0, T0 + timedelta(hours=hours), known_by)


def test_what_was_answered_comes_back(log: PredictionLog) -> None:
    log.append([prediction("p1", output=[0.1, 0.9]), prediction("p2", 1)])
    found = window(log)
    assert found["prediction_id"].tolist() == ["p1", "p2"]
    assert found["inputs"].tolist() == [{"a": 1.5, "s": "é", "gap": None}] * 2
    assert found["output"].tolist() == [[0.1, 0.9], 0.25]
    assert found["event_time"].tolist() == [T0, T0 + timedelta(hours=1)]
    assert found["label"].isna().all()
    assert log.find("p1") == prediction("p1", output=[0.1, 0.9])
    assert log.find("p9") is None
    assert list(log.models()) == ["m"]


def test_inputs_may_be_called_like_the_logs_own_columns(log: PredictionLog) -> None:
    inputs = {
        "version": 7,
        "label": "x",
        "output": 1,
        "event_time": "noon",
        "prediction_id": 0,
        "latency_ms": 1,
    }
    log.append([prediction("p1", inputs=inputs)])
    found = window(log).iloc[0]
    assert found["inputs"] == inputs
    assert (found["version"], found["output"], found["label"]) == ("1", 0.25, None)


def test_a_window_holds_its_start_and_not_its_end_and_no_probe_or_other_model(log: PredictionLog) -> None:
    log.append(
        [
            prediction("before", -0.001),
            prediction("start", 0),
            prediction("inside", 12.5),
            prediction("end", 24),
            prediction("probe", 1, probe=True),
            prediction("other", 1, model="n"),
        ]
    )
    assert window(log)["prediction_id"].tolist() == ["start", "inside"]
    assert window(log, hours=0).empty


def test_a_label_counts_from_when_it_was_known_and_a_later_one_corrects_it(log: PredictionLog) -> None:
    log.append([prediction("p1"), prediction("p2"), prediction("p3")])
    first, second = T0 + timedelta(days=1), T0 + timedelta(days=5)
    assert log.append_labels("m", [Label("p1", 0, first), Label("p2", "late", first)]) == []
    assert log.append_labels("m", [Label("p1", 1, second)]) == []
    log.append_labels("m", [Label("p2", "early", first)])  # said twice for one time: the last word counts
    labels = {
        known_by: window(log, known_by=known_by).set_index("prediction_id")["label"].to_dict()
        for known_by in (T0, first, second)
    }
    assert labels[T0] == {"p1": None, "p2": None, "p3": None}
    assert labels[first] == {"p1": 0, "p2": "early", "p3": None}
    assert labels[second] == {"p1": 1, "p2": "early", "p3": None}


def test_an_older_label_that_arrives_later_corrects_nothing(log: PredictionLog) -> None:
    log.append([prediction("p1")])
    log.append_labels("m", [Label("p1", 1, T0 + timedelta(days=5))])
    log.append_labels("m", [Label("p1", 0, T0 + timedelta(days=1))])
    assert window(log)["label"].tolist() == [1]


def test_labels_of_unknown_predictions_are_told_and_not_kept(log: PredictionLog) -> None:
    log.append([prediction("p1"), prediction("theirs", model="n")])
    unknown = log.append_labels("m", [Label(i, 1, T0) for i in ("p1", "p9", "theirs")])
    assert unknown == ["p9", "theirs"]
    assert window(log)["label"].tolist() == [1]
    assert log.window("n", T0, FOREVER, FOREVER)["label"].isna().all()


def test_failures_and_refusals_are_counted_apart_and_by_arrival(log: PredictionLog) -> None:
    for hour in (0, 1, 24):
        for status in (400, 413, 422, 500):
            log.append_error("m", T0 + timedelta(hours=hour), status, "bad")
    log.append_error("m", T0, 408, "slow")
    log.append_error("n", T0, 422, "of another model")
    day = (T0, T0 + timedelta(hours=24))
    assert log.errors("m", *day) == 4, "valid input that the model failed on"
    assert log.refused("m", *day) == 5, "requests that were themselves wrong"
    assert log.errors("nobody", *day) == log.refused("nobody", *day) == 0


def test_a_model_is_known_once_it_answered(log: PredictionLog) -> None:
    log.append([prediction("p1")])
    log.append_error("n", T0, 400, "bad")
    assert log.has_answered("m")
    assert not log.has_answered("n")


def test_threads_may_share_a_log(log: PredictionLog) -> None:
    def work(worker: int) -> int:
        for i in range(25):
            log.append([prediction(f"{worker}-{i}-{j}") for j in range(4)])
            log.append_labels("m", [Label(f"{worker}-{i}-0", 1, T0)])
            window(log)
        return worker

    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(work, range(8)))) == 8
    found = window(log)
    assert len(found) == found["prediction_id"].nunique() == 800
    assert found["label"].notna().sum() == 200


def _append_from_process(arguments: tuple[Path, int]) -> None:
    file, worker = arguments
    log = PredictionLog(file)
    for i in range(10):
        log.append([prediction(f"{worker}-{i}")])


def test_processes_may_begin_together_on_one_log(tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    together(_append_from_process, [(file, n) for n in range(6)])
    assert len(window(PredictionLog(file))) == 60


def test_what_was_confirmed_survives_a_kill(tmp_path: Path) -> None:
    file = tmp_path / "log.db"
    writer = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys, itertools\nfrom pathlib import Path\nfrom datetime import datetime\n"
            "from mlops_assets.monitoring.prediction_log import Prediction, PredictionLog\n"
            "log, t = PredictionLog(Path(sys.argv[1])), datetime(2024, 1, 1)\n"
            "for i in itertools.count():\n"
            "    log.append([Prediction(f'{i}-{j}', 'm', '1', t, t, {}, 0.5, 1.0) for j in range(3)])\n"
            "    print(i, flush=True)\n",
            str(file),
        ],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert writer.stdout is not None
    confirmed = -1
    for line in writer.stdout:
        confirmed = int(line)
        if confirmed >= 30:
            os.kill(writer.pid, signal.SIGKILL)
            break
    confirmed = max([confirmed, *map(int, writer.stdout)])
    writer.wait()
    found = set(window(PredictionLog(file))["prediction_id"])
    assert found >= {f"{i}-{j}" for i in range(confirmed + 1) for j in range(3)}
    assert len(found) % 3 == 0  # a request's rows are there together or not at all


def test_a_log_that_cannot_be_used_is_one_clear_line(tmp_path: Path, log: PredictionLog) -> None:
    (tmp_path / "text.db").write_text("this is no database " * 100)
    with pytest.raises(StorageError, match=r"text\.db: file is not a database"):
        PredictionLog(tmp_path / "text.db")
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(StorageError, match=r"folder\.db: unable to open database file"):
        PredictionLog(tmp_path / "folder.db")
    log.append([prediction("p1")])
    with pytest.raises(StorageError, match="prediction log"):
        log.append([prediction("p2"), prediction("p1")])
    assert len(window(log)) == 1
