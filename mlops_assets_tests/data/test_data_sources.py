"""One window of rows from wherever a team keeps them: the same rows, in one order, in one type."""

# ruff: noqa: E501  (messages in full)

import os
import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from mlops_assets import digests
from mlops_assets.data.columns import refused
from mlops_assets.data.sources import Window, read_window, training_window
from mlops_assets.errors import DataError
from mlops_assets.specs.data_spec import Data

WINDOW = Window(datetime(2024, 1, 2), datetime(2024, 1, 5, 6))

Read = Callable[..., pd.DataFrame]


def rides() -> pd.DataFrame:
    """Return rides every six hours from 1 January, more than the window holds, in no order."""
    n = 40
    frame = pd.DataFrame(
        {
            "id": range(n),
            "ts": pd.date_range("2024-01-01", periods=n, freq="6h"),
            "distance": [1.5, 2.0, None, 4.0] * (n // 4),
            "helmet": [True, False] * (n // 2),
            "station": ["NA", "B", None, "None"] * (n // 4),
            "late": [0, 1] * (n // 2),
        }
    )
    return frame.sample(frac=1, random_state=0, ignore_index=True)


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a reader of one window from a source."""

    def read(source: dict[str, Any], window: Window = WINDOW, **changes: Any) -> pd.DataFrame:
        data = {
            "source": source,
            "time_column": "ts",
            "target": "late",
            "key": ["id"],
            "features": [
                {"name": "distance", "nullable": True},
                {"name": "helmet", "type": "boolean"},
                {"name": "station", "type": "string", "nullable": True},
            ],
        }
        return read_window(Data.model_validate(data | changes), window, tmp_path)

    return read


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'rides.db'}"
    with sa.create_engine(url).begin() as connection:
        rides().to_sql("rides", connection, index=False)
        for name, form in {
            "spaced": "%Y-%m-%d %H:%M:%S",
            "iso": "%Y-%m-%dT%H:%M:%S",
            "basic": "%Y%m%dT%H%M%S",
        }.items():
            rides().assign(ts=rides()["ts"].dt.strftime(form)).to_sql(name, connection, index=False)
        rides().assign(ts=rides()["ts"].dt.strftime("%Y-%m-%dT%H:%M:%S+02:00")).to_sql(
            "zoned", connection, index=False
        )
        rides().assign(ts=rides()["ts"].dt.date).to_sql("dated", connection, index=False)
        rides().head(0).to_sql("empty", connection, index=False)
    return url


@pytest.fixture
def duckdb_url(tmp_path: Path) -> str:
    file = tmp_path / "rides.duckdb"
    frame = rides()
    with duckdb.connect(str(file)) as connection:
        connection.register("frame", frame)
        connection.execute("CREATE TABLE rides AS SELECT * FROM frame")
        connection.execute(
            "CREATE TABLE iso AS SELECT * REPLACE (strftime(ts, '%Y-%m-%dT%H:%M:%S') AS ts) FROM frame"
        )
        connection.execute("CREATE TABLE zoned AS SELECT * REPLACE (ts::TIMESTAMPTZ AS ts) FROM frame")
        connection.execute("CREATE TABLE dated AS SELECT * REPLACE (ts::DATE AS ts) FROM frame")
        connection.execute("CREATE SCHEMA s; CREATE VIEW s.view AS SELECT * FROM rides")
    return f"duckdb:///{file}"


@pytest.fixture
def expected(read: Read, tmp_path: Path) -> str:
    """The digest that every way of keeping these rides must give."""
    rides().to_parquet(tmp_path / "expected.parquet")
    rows = read({"type": "parquet", "path": "expected.parquet"})
    assert rows["ts"].tolist() == list(pd.date_range("2024-01-02", "2024-01-05", freq="6h"))
    assert list(rows) == ["id", "ts", "distance", "helmet", "station", "late"]
    assert rows["station"].isna().sum() == 3
    return digests.of_frame(rows)


@pytest.mark.parametrize("table", ["rides", "spaced", "iso", "basic"])
def test_sqlite_gives_the_same_rows_however_it_keeps_times(
    read: Read, expected: str, sqlite_url: str, table: str
) -> None:
    assert digests.of_frame(read({"type": "sql", "url": sqlite_url, "table": table})) == expected


@pytest.mark.parametrize("table", ["rides", "iso", "s.view"])
def test_duckdb_gives_the_same_rows(read: Read, expected: str, duckdb_url: str, table: str) -> None:
    assert digests.of_frame(read({"type": "sql", "url": duckdb_url, "table": table})) == expected


@pytest.mark.parametrize("database", ["sqlite", "duckdb"])
def test_a_query_may_use_the_windows_bounds_or_not(
    read: Read, expected: str, sqlite_url: str, duckdb_url: str, database: str
) -> None:
    url = {"sqlite": sqlite_url, "duckdb": duckdb_url}[database]
    for query in (
        "SELECT * FROM rides WHERE ts >= :start AND ts < :end",
        "SELECT * FROM rides WHERE ts < :end",
        "SELECT * FROM rides",
    ):
        assert digests.of_frame(read({"type": "sql", "url": url, "query": query})) == expected


def test_times_with_a_zone_are_cut_by_the_instant(read: Read, sqlite_url: str, duckdb_url: str) -> None:
    rows = read({"type": "sql", "url": sqlite_url, "table": "zoned"})
    assert rows["ts"].min() == datetime(2024, 1, 2, 4)
    assert rows["ts"].max() == datetime(2024, 1, 5, 4)
    rows = read({"type": "sql", "url": duckdb_url, "table": "zoned"})
    assert str(rows["ts"].dtype) == "datetime64[us]"


@pytest.mark.parametrize("database", ["sqlite", "duckdb"])
def test_dates_count_from_midnight(read: Read, sqlite_url: str, duckdb_url: str, database: str) -> None:
    url = {"sqlite": sqlite_url, "duckdb": duckdb_url}[database]
    rows = read({"type": "sql", "url": url, "table": "dated"})
    assert set(rows["ts"].dt.strftime("%Y-%m-%dT%H")) == {f"2024-01-0{d}T00" for d in (2, 3, 4, 5)}


def test_postgresql_gives_the_same_rows(read: Read, expected: str) -> None:
    url = os.environ.get("MLOPS_TEST_POSTGRES_URL")
    if not url:
        pytest.skip("MLOPS_TEST_POSTGRES_URL names no database")
    with sa.create_engine(url).begin() as connection:
        rides().to_sql("rides_of_a_test", connection, index=False, if_exists="replace")
        aware = rides().assign(ts=rides()["ts"].dt.tz_localize("UTC"))
        aware.to_sql("rides_of_a_test_zoned", connection, index=False, if_exists="replace")
    for table in ("rides_of_a_test", "rides_of_a_test_zoned", "public.rides_of_a_test"):
        assert digests.of_frame(read({"type": "sql", "url": url, "table": table})) == expected
    with pytest.raises(DataError, match=r"no table 'rides_of_a_tets' \(did you mean 'rides_of_a_test'\?\)"):
        read({"type": "sql", "url": url, "table": "rides_of_a_tets"})


def test_the_same_content_has_one_digest_in_any_order_and_any_pandas_types(
    read: Read, expected: str, tmp_path: Path
) -> None:
    for seed in range(3):
        order = random.Random(seed).sample(range(len(rides())), len(rides()))
        frame = rides().iloc[order]
        frame = frame[random.Random(seed).sample(list(frame), len(list(frame)))]
        frame = frame.astype(
            [
                {"station": "category", "distance": "Float64"},
                {"station": "string", "helmet": "boolean", "late": "Int64"},
                {"station": "object", "helmet": "object", "distance": "float64[pyarrow]"},
            ][seed]
        )
        frame.to_parquet(tmp_path / "shuffled.parquet")
        assert digests.of_frame(read({"type": "parquet", "path": "shuffled.parquet"})) == expected


def test_csv_knows_text_from_missing_and_one_stray_word_spoils_one_value(read: Read, tmp_path: Path) -> None:
    rides().to_csv(tmp_path / "rides.csv", index=False)
    rows = read({"type": "csv", "path": "rides.csv"})
    assert set(rows["station"].dropna()) == {"NA", "B", "None"}
    assert rows["station"].isna().sum() == 3
    assert rows["distance"].isna().sum() == 3
    text = (tmp_path / "rides.csv").read_text().replace(",4.0,True", ",four,True").replace("False", "false")
    text = text.replace(",2.0,false", ",2.0,perhaps", 1)
    (tmp_path / "rides.csv").write_text(text.replace(",4.0,", ",four,"))
    rows = read({"type": "csv", "path": "rides.csv"})
    assert set(rows["distance"].dropna()) == {1.5, 2.0}
    assert rows["distance (not number)"].value_counts().to_dict() == {"'four'": 3}
    assert set(rows["helmet"].dropna()) == {0.0, 1.0}


def test_a_python_source_is_given_the_window(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "expected_rides.py").write_text(
        "import pandas as pd\nfrom pathlib import Path\n"
        "def load(start, end):\n"
        "    rows = pd.read_parquet(Path(__file__).with_name('expected.parquet'))\n"
        "    return rows[rows['ts'].between(start, end)].set_index('late', drop=False)\n"
        "def nothing(start, end): return None\n"
        "def broken(start, end): return {}['gone']\n"
    )
    assert digests.of_frame(read({"type": "python", "function": "expected_rides:load"})) == expected
    with pytest.raises(DataError, match="must return a pandas DataFrame, not NoneType"):
        read({"type": "python", "function": "expected_rides:nothing"})
    with pytest.raises(DataError, match="source expected_rides:broken failed: KeyError: 'gone'"):
        read({"type": "python", "function": "expected_rides:broken"})


def test_what_a_source_lacks_is_named_with_the_nearest_name(
    read: Read, sqlite_url: str, duckdb_url: str
) -> None:
    for url in (sqlite_url, duckdb_url):
        with pytest.raises(DataError, match=r"no table 'ridez' \(did you mean 'rides'\?\)"):
            read({"type": "sql", "url": url, "table": "ridez"})
        with pytest.raises(
            DataError, match=r"does not deliver the declared column 'stations' \(did you mean 'station'\?\)"
        ):
            read({"type": "sql", "url": url, "table": "rides"}, features=["distance", "stations"])
        with pytest.raises(DataError, match="delivers the column 'distance' more than once"):
            read({"type": "sql", "url": url, "query": "SELECT *, distance FROM rides"})
        with pytest.raises(DataError, match=r"SQL source query failed: .*ende"):
            read({"type": "sql", "url": url, "query": "SELECT * FROM rides WHERE ts < :ende"})


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"type": "csv", "path": "gone.csv"}, "source gone.csv failed: FileNotFoundError"),
        ({"type": "parquet", "path": "gone.parquet"}, "source gone.parquet failed"),
        ({"type": "sql", "url_env": "NO_SUCH_VARIABLE", "table": "t"}, "NO_SUCH_VARIABLE holds no database URL"),
        ({"type": "sql", "url": "nodatabase://", "table": "t"}, "SQL source t failed"),
        ({"type": "sql", "url": "sqlite:////nowhere/at/all.db", "table": "t"}, "SQL source t failed: OperationalError"),
    ],
)  # fmt: skip
def test_a_source_that_cannot_be_reached_is_one_clear_line(
    read: Read, source: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said) as raised:
        read(source)
    assert "\n" not in str(raised.value)


def test_an_empty_window_names_the_window(read: Read, sqlite_url: str) -> None:
    for table in ("rides", "empty"):
        with pytest.raises(
            DataError, match=r"SQL source .* has no rows from 2030-01-01 00:00 to 2030-02-01 00:00"
        ):
            read(
                {"type": "sql", "url": sqlite_url, "table": table},
                Window(datetime(2030, 1, 1), datetime(2030, 2, 1)),
            )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["2024-01-03", None], "ts is missing in 1 rows"),
        (
            ["2024-01-03", "tomorrow"],
            r"ts holds 'tomorrow', which is no time \(1 rows\); write times as ISO 8601",
        ),
        ([1.5, 2.5], "ts holds 1.5, which is no time"),
    ],
)
def test_a_time_column_must_hold_times(read: Read, tmp_path: Path, values: list[Any], said: str) -> None:
    frame = rides().head(2).assign(ts=values)
    frame.to_parquet(tmp_path / "times.parquet")
    with pytest.raises(DataError, match=said):
        read({"type": "parquet", "path": "times.parquet"})


def test_a_key_or_target_of_several_types_is_refused_before_it_is_sorted(
    read: Read, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mixing_rides.py").write_text(
        "import pandas as pd\n"
        "def load(start, end):\n"
        "    return pd.DataFrame({'ts': [start] * 2, 'id': [1, 'b'], 'distance': 1.0, 'helmet': True,"
        " 'station': 's', 'late': [0, 1]}).astype({'id': object})\n"
    )
    with pytest.raises(DataError, match="id mixes values of type int, str"):
        read({"type": "python", "function": "mixing_rides:load"})


def test_wrong_values_reach_the_contract_instead_of_failing_the_read(read: Read, tmp_path: Path) -> None:
    frame = rides()
    frame["station"] = frame["station"].astype(object)
    frame["helmet"] = np.where(frame["id"] % 2, 2, 1)
    frame.to_parquet(tmp_path / "wrong.parquet")
    rows = read({"type": "parquet", "path": "wrong.parquet"})
    column = next(c for c in Data.model_validate(
        {"source": {"type": "csv", "path": "x"}, "time_column": "t", "target": "y",
         "features": [{"name": "helmet", "type": "boolean"}]}
    ).features)  # fmt: skip
    assert rows[refused(column)].dropna().unique().tolist() == ["2"]


def test_a_training_reads_up_to_where_labels_are_known() -> None:
    data = Data.model_validate(
        {"source": {"type": "csv", "path": "x"}, "time_column": "t", "target": "y", "features": ["a"],
         "label_delay": "2d", "window": "30d"}
    )  # fmt: skip
    window = training_window(data, datetime(2024, 3, 1))
    assert (window.start, window.end) == (datetime(2024, 1, 31), datetime(2024, 2, 28))
