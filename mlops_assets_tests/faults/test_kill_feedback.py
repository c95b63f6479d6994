"""Feedback in bulk that is killed loses nothing that was taken, and sent again counts once."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.prediction_log.compaction import compact
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets_tests.faults import feedback_trial
from mlops_assets_tests.prediction_log.histories import FOREVER, History, hour

PIECES, LINES = 40, 25


def known(folder: Path) -> dict[str, int]:
    """Return the labels that a log knows, each once."""
    found = PredictionLog(folder).window("m", hour(0), hour(24), FOREVER)
    assert found["prediction_id"].is_unique
    labelled = found[found["label"].notna()]
    return dict(zip(labelled["prediction_id"], labelled["label"], strict=True))


@pytest.mark.slow
def test_a_kill_loses_no_label_that_was_taken_and_a_second_try_makes_none_count_twice(tmp_path: Path) -> None:
    moments = random.Random(4)
    history = History(tmp_path / "log")
    ids = history.answer([1.0] * (PIECES * LINES))
    history.close()
    said = [{"prediction_id": i, "label": n, "observed_at": "2024-01-02"} for n, i in enumerate(ids)]
    pieces = [
        b"\n".join(json.dumps(item).encode() for item in said[start : start + LINES])
        for start in range(0, len(said), LINES)
    ]
    (tmp_path / "pieces").write_bytes(feedback_trial.SEPARATOR.join(pieces))
    command = [sys.executable, feedback_trial.__file__, str(history.folder), str(tmp_path / "pieces")]
    for _ in range(4):
        taking = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert taking.stdout is not None
        taken = -1
        for _, line in zip(range(moments.randint(1, PIECES - 5)), taking.stdout, strict=False):
            taken = int(line)
        os.kill(taking.pid, signal.SIGKILL)
        taken = max([taken, *(int(line) for line in taking.stdout if line.endswith("\n"))])
        taking.wait()
        labels = known(history.folder)
        assert {i: n for n, i in enumerate(ids[: (taken + 1) * LINES])}.items() <= labels.items()
        compact(history.folder)
        assert known(history.folder) == labels
    subprocess.run(command, check=True, capture_output=True)
    compact(history.folder)
    assert known(history.folder) == {i: n for n, i in enumerate(ids)}
    assert PredictionLog(history.folder).losses() == []
