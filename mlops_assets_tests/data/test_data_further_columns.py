"""What a spec has dropped is read again beside the snapshot's rows, and never beside other rows."""

import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.data.further_columns import with_further_columns
from mlops_assets.data.sources import Window, read_window
from mlops_assets.errors import DataError
from mlops_assets.specs.data_spec import Column, Data

WINDOW = Window(datetime(2024, 1, 2), datetime(2024, 1, 9))
DROPPED = [Column(name="b")]


@pytest.fixture
def data() -> Data:
    return Data.model_validate(
        {
            "source": {"type": "csv", "path": "rows.csv"},
            "time_column": "t",
            "target": "y",
            "features": ["a"],
        }
    )


@pytest.fixture
def source(tmp_path: Path) -> pd.DataFrame:
    """Rows of which many are alike in all that the spec declares."""
    draw = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "t": pd.date_range("2024-01-01", periods=20, freq="D").repeat(10),
            "a": draw.integers(0, 2, 200),
            "b": draw.normal(size=200),
            "y": draw.integers(0, 2, 200),
        }
    )
    rows.to_csv(tmp_path / "rows.csv", index=False)
    return rows


def test_the_very_rows_come_back_with_the_column_beside_them(
    data: Data, source: pd.DataFrame, tmp_path: Path
) -> None:
    snapshot = read_window(data, WINDOW, tmp_path)
    snapshot.index += 100  # as those of a hold-out
    shuffled = source.sample(frac=1, random_state=random.Random(1).randint(0, 99))
    shuffled.to_csv(tmp_path / "rows.csv", index=False)
    wider = with_further_columns(snapshot, DROPPED, data, WINDOW, tmp_path)
    pd.testing.assert_frame_equal(wider[list(snapshot.columns)], snapshot)
    inside = source[(source["t"] >= WINDOW.start) & (source["t"] < WINDOW.end)]
    key = ["t", "a", "y", "b"]
    expected = inside[key].sort_values(key).reset_index(drop=True)
    found = wider[key].sort_values(key).reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


CHANGES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "a row less": lambda rows: rows.drop(index=40),
    "a row more": lambda rows: pd.concat([rows, rows.loc[[40]]]),
    "another value": lambda rows: rows.assign(y=1 - rows["y"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_rows_that_changed_meanwhile_are_not_taken_for_the_same(
    change: str, data: Data, source: pd.DataFrame, tmp_path: Path
) -> None:
    snapshot = read_window(data, WINDOW, tmp_path)
    CHANGES[change](source).to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(DataError, match="no longer gives the rows"):
        with_further_columns(snapshot, DROPPED, data, WINDOW, tmp_path)


def test_a_column_that_is_gone_from_the_source_too_is_named(
    data: Data, source: pd.DataFrame, tmp_path: Path
) -> None:
    snapshot = read_window(data, WINDOW, tmp_path)
    with pytest.raises(DataError, match="gone"):
        with_further_columns(snapshot, [Column(name="gone")], data, WINDOW, tmp_path)
