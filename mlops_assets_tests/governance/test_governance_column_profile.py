"""What columns hold: right shares, and nobody given away."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.data.columns import to_declared_types
from mlops_assets.governance.card_facts import ColumnFacts
from mlops_assets.governance.column_profile import profile_columns
from mlops_assets_tests.governance.cards import small_spec


def profile(
    rows: dict[str, Any], *features: dict[str, Any], key: tuple[str, ...] = ()
) -> dict[str, ColumnFacts]:
    data = small_spec().data.model_dump() | {"features": features, "key": key}
    spec = small_spec(data=data)
    frame = to_declared_types(pd.DataFrame(rows), spec.data.features)
    return {column.name: column for column in profile_columns(frame, spec.data)}


def times(rows: int) -> Any:
    return pd.date_range("2024-01-01", periods=rows, freq="h").astype("datetime64[us]")


def test_every_kind_of_column_is_told() -> None:
    rows = 1000
    found = profile(
        {
            "t": times(rows),
            "id": range(rows),
            "n": np.where(np.arange(rows) % 4 == 0, np.nan, np.arange(rows) / 10),
            "i": np.arange(rows) % 3,
            "s": np.where(np.arange(rows) < 600, "red", "blue"),
            "f": np.arange(rows) % 2 == 0,
            "y": np.arange(rows) % 2,
        },
        {"name": "n", "range": [0, None], "nullable": True},
        {"name": "i", "type": "integer"},
        {"name": "s", "type": "string", "allowed": ["red", "blue"]},
        {"name": "f", "type": "boolean"},
        key=("id",),
    )
    roles = {name: column.role for name, column in found.items()}
    assert roles == {"id": "key", "t": "time", **dict.fromkeys("nisf", "feature"), "y": "target"}
    n = found["n"]
    assert (n.missing, n.low, n.high, n.declared) == (0.25, "0.1", "99.9", "≥ 0; may be missing")
    assert len(n.bars) == 16
    assert [bar.label for bar in found["s"].bars] == ["red", "blue"]
    assert [bar.share for bar in found["s"].bars] == [0.6, 0.4]
    assert len(found["i"].bars) == 3
    assert len(found["f"].bars) == len(found["y"].bars) == 2
    assert (found["t"].low, found["t"].high) == ("2024-01-01 00:00", "2024-02-11 15:00")
    assert found["id"].bars == ()  # of a key only that it is one


def test_a_value_of_few_rows_is_not_shown() -> None:
    names = ["often"] * 90 + ["seldom"] * 10 + [f"Person {i}" for i in range(9)]
    (column,) = (
        c
        for c in profile(
            {"t": times(109), "y": [0, 1] * 54 + [0], "s": names}, {"name": "s", "type": "string"}
        ).values()
        if c.name == "s"
    )
    assert [bar.label for bar in column.bars] == ["often", "seldom", "9 others"]
    assert "Person" not in column.model_dump_json()


def test_of_a_sensitive_column_no_extreme_is_shown() -> None:
    incomes = np.r_[np.linspace(1000, 2000, 998), 0, 987654]
    rows = {"t": times(1000), "y": [0, 1] * 500, "open": incomes, "hidden": incomes}
    found = profile(rows, {"name": "open"}, {"name": "hidden", "sensitive": True})
    assert found["open"].high == "9.8765e+05"
    assert float(found["hidden"].low) > 1000
    assert float(found["hidden"].high) < 2000
    assert "98765" not in found["hidden"].model_dump_json()


@given(
    values=st.lists(st.floats(-1e6, 1e6) | st.none(), min_size=1, max_size=60),
    kind=st.sampled_from(["number", "datetime", "string"]),
)
def test_the_bars_of_any_column_add_up_to_its_present_rows(values: list[float | None], kind: str) -> None:
    cells: Any = [None if v is None else v for v in values]
    if kind == "datetime":
        cells = [
            None if v is None else pd.Timestamp("2024-01-01") + pd.Timedelta(seconds=int(v)) for v in values
        ]
    if kind == "string":
        cells = [None if v is None else str(int(v) % 3) for v in values]
    rows = {"t": times(len(values)), "y": [0] * len(values), "x": cells}
    column = profile(rows, {"name": "x", "type": kind, "nullable": True})["x"]
    present = [v for v in values if v is not None]
    assert column.missing == pytest.approx(1 - len(present) / len(values))
    assert sum(bar.share for bar in column.bars) == pytest.approx(1.0 if present else 0.0)


def test_a_column_without_any_value_is_told_as_such() -> None:
    column = profile({"t": times(5), "y": [0, 1, 0, 1, 0], "x": [None] * 5}, {"name": "x", "nullable": True})[
        "x"
    ]
    assert (column.missing, column.low, column.high, column.bars) == (1.0, "", "", ())
