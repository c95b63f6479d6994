"""Snapshots: named by their content, written once, and proven when read."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from mlops_assets.data.snapshots import read_snapshot, write_snapshot
from mlops_assets.errors import DataError


@pytest.fixture
def place(tmp_path: Path) -> Callable[[str], Path]:
    return lambda digest: tmp_path / "model" / f"{digest}.parquet"


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame(
        {"t": pd.date_range("2024-01-01", periods=5), "s": ["a", "", None, "b", "c"], "x": range(5)}
    )


def test_the_same_rows_are_one_file_that_nobody_may_write(
    place: Callable[[str], Path], rows: pd.DataFrame
) -> None:
    digest, path = write_snapshot(rows, place)
    first = path.stat()
    assert write_snapshot(rows.copy(), place) == (digest, path)
    assert path.stat().st_mtime_ns == first.st_mtime_ns
    assert first.st_mode & 0o222 == 0
    assert [p.name for p in path.parent.iterdir()] == [f"{digest}.parquet"]
    pd.testing.assert_frame_equal(read_snapshot(path, digest), rows)


def test_other_rows_are_another_file(place: Callable[[str], Path], rows: pd.DataFrame) -> None:
    write_snapshot(rows, place)
    _, path = write_snapshot(rows.assign(x=0), place)
    assert len(list(path.parent.iterdir())) == 2


@pytest.mark.parametrize("spoil", ["other rows", "half a file", "no Parquet"])
def test_an_altered_file_is_not_read(place: Callable[[str], Path], rows: pd.DataFrame, spoil: str) -> None:
    digest, path = write_snapshot(rows, place)
    content = path.read_bytes()
    path.chmod(0o644)
    if spoil == "other rows":
        rows.assign(x=1).to_parquet(path)
    else:
        path.write_bytes(content[: len(content) // 2] if spoil == "half a file" else b"hello")
    with pytest.raises(DataError, match="was altered after it was written"):
        read_snapshot(path, digest)


def test_a_file_that_is_gone_is_told_with_what_to_do(place: Callable[[str], Path]) -> None:
    with pytest.raises(DataError, match="is gone; run the lifecycle again"):
        read_snapshot(place("x"), "x")


def test_rows_that_no_table_can_hold_are_the_sources_fault(place: Callable[[str], Path]) -> None:
    with pytest.raises(DataError, match="cannot be kept as a table"):
        write_snapshot(pd.DataFrame({"x": pd.Series([1, "a"], dtype=object)}), place)
