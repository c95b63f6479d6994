"""What waiting lost is kept by window: no restart forgets it, and no second look adds to it."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.monitoring.missed_gains import MissedGain, MissedGains

START = datetime(2024, 6, 1)


def week(number: int, share: float, model: str = "a") -> MissedGain:
    start = START + timedelta(days=7 * number)
    return MissedGain(model, start, start + timedelta(days=7), share)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/fleet.db"


def test_windows_add_up_over_restarts_and_count_once(url: str) -> None:
    MissedGains(url).count([week(0, 0.01), week(0, 0.5), week(1, 0.02), week(0, 0.04, "b")])
    MissedGains(url).count([week(1, 0.9), week(2, 0.03)])
    found = MissedGains(url).since({"a": None, "b": None, "c": None})
    assert found == pytest.approx({"a": 0.06, "b": 0.04, "c": 0.0})


def test_what_ended_before_the_last_training_is_over_and_stays_over(url: str) -> None:
    missed = MissedGains(url)
    missed.count([week(0, 0.01), week(1, 0.02)])
    trained = {"a": START + timedelta(days=7)}
    assert missed.since(trained) == pytest.approx({"a": 0.02})
    missed.count([week(0, 0.01)])  # its labels came late
    assert missed.since(trained) == pytest.approx({"a": 0.02})


def test_nothing_is_asked_of_nobody(url: str) -> None:
    MissedGains(url).count([])
    assert MissedGains(url).since({}) == {}
