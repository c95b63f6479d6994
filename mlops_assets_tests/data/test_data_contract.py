"""The data contract finds each planted fault, and names the column, the values and the rows."""

# ruff: noqa: E501  (tables: one case a line)

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.data.columns import to_declared_types
from mlops_assets.data.contract import measure_contract
from mlops_assets.data.snapshots import read_snapshot, write_snapshot
from mlops_assets.errors import SpecError
from mlops_assets.specs.data_spec import Data
from mlops_assets.verdict import Verdict
from mlops_assets.verdict import judge as held
from mlops_assets_tests.vouching import rules_of

AS_OF = datetime(2024, 1, 14)
ROWS = 300


def contract(**changes: Any) -> Data:
    return Data.model_validate(
        {
            "source": {"type": "csv", "path": "x.csv"},
            "time_column": "t",
            "target": "y",
            "key": ["t", "id"],
            "features": [
                {"name": "a", "range": [-10, 10]},
                {"name": "gaps", "nullable": True, "range": [None, 5]},
                {"name": "i", "type": "integer", "allowed": [0, 1, 2, 3, 4]},
                {"name": "s", "type": "string", "allowed": ["x", "y"]},
                {"name": "free", "type": "string", "nullable": True},
                {"name": "b", "type": "boolean"},
                {"name": "w", "type": "datetime"},
            ],
            "contract": {"min_rows": 200, "max_age": "3d"},
            **changes,
        }
    )


def rows() -> pd.DataFrame:
    """Return rows that keep the contract, as objects so that any fault can be planted."""
    generator = np.random.default_rng(0)
    times = pd.date_range("2024-01-01", periods=ROWS, freq="h")
    gaps = generator.normal(size=ROWS)
    gaps[::3] = np.nan
    frame = pd.DataFrame(
        {
            "t": times,
            "id": range(ROWS),
            "a": generator.normal(size=ROWS),
            "gaps": gaps,
            "i": generator.integers(0, 5, ROWS),
            "s": generator.choice(["x", "y"], ROWS),
            "free": generator.choice(["p", None], ROWS),
            "b": generator.random(ROWS) < 0.5,
            "w": times,
            "y": generator.integers(0, 2, ROWS),
        }
    )
    return frame.astype(object)


def judge(frame: pd.DataFrame, folder: Path, data: Data | None = None) -> Verdict:
    """Judge rows after the very round trip that a snapshot makes."""
    data = data or contract()
    frame = to_declared_types(frame, data.features)
    frame = frame.astype({"t": "datetime64[us]", "id": "float64", "y": "float64"})
    digest, path = write_snapshot(frame, lambda d: folder / d)
    measured = measure_contract(read_snapshot(path, digest), data, AS_OF, folder)
    return held(measured, rules_of().gates.data_contract)


def test_rows_that_keep_the_contract_pass(tmp_path: Path) -> None:
    verdict = judge(rows(), tmp_path)
    assert verdict.passed, verdict.summary
    assert verdict.summary.endswith(f"expectations hold on {ROWS:,} rows")
    assert verdict.measurement.findings == ()


@pytest.mark.parametrize(
    ("column", "row", "value", "said", "values"),
    [
        ("a", 3, 99.0, "a: values to be between: 1 rows (0.33 %)", [99.0]),
        ("a", 3, "fast", "a: values to be of type number: 1 rows (0.33 %)", ["'fast'"]),
        ("a", 3, True, "a: values to be of type number: 1 rows (0.33 %)", ["True"]),
        ("a", 3, float("inf"), "a: values to be of type number: 1 rows (0.33 %)", ["inf"]),
        ("a", 3, None, "a: values to not be null: 1 rows (0.33 %)", [None]),
        ("gaps", 4, 7.0, "gaps: values to be between: 1 rows", [7.0]),
        ("i", 5, 2.5, "i: values to be of type integer: 1 rows (0.33 %)", ["2.5"]),
        ("i", 5, 9, "i: values to be in set: 1 rows (0.33 %)", [9.0]),
        ("s", 5, "z", "s: values to be in set: 1 rows (0.33 %)", ["z"]),
        ("s", 5, 7, "s: values to be of type string: 1 rows (0.33 %)", ["7"]),
        ("s", 5, None, "s: values to not be null: 1 rows (0.33 %)", [None]),
        ("free", 5, 7, "free: values to be of type string: 1 rows (0.33 %)", ["7"]),
        ("b", 6, "maybe", "b: values to be of type boolean: 1 rows (0.33 %)", ["'maybe'"]),
        ("b", 6, None, "b: values to not be null: 1 rows (0.33 %)", [None]),
        ("w", 7, "soon", "w: values to be of type datetime: 1 rows (0.33 %)", ["'soon'"]),
        ("y", 8, None, "y: values to not be null: 1 rows (0.33 %)", [None]),
        ("id", 9, None, "id: values to not be null: 1 rows (0.33 %)", [None]),
    ],
)  # fmt: skip
def test_one_wrong_value_is_found_and_nothing_else(
    tmp_path: Path, column: str, row: int, value: Any, said: str, values: list[Any]
) -> None:
    frame = rows()
    frame.at[row, column] = value
    verdict = judge(frame, tmp_path)
    assert not verdict.passed
    (finding,) = verdict.measurement.findings
    assert finding["problem"].startswith(said)
    assert finding["column"] == column
    assert json.loads(finding["values"]) == values
    assert json.loads(finding["rows"]) == [row]
    assert said.split(" rows")[0] in verdict.summary


def test_a_row_named_twice_is_found(tmp_path: Path) -> None:
    frame = rows()
    frame.loc[4, ["t", "id"]] = frame.loc[3, ["t", "id"]]
    (finding,) = judge(frame, tmp_path).measurement.findings
    assert finding["column"] == "t, id"
    assert json.loads(finding["rows"]) == [3, 4]
    (finding,) = judge(frame, tmp_path, contract(key=["id"])).measurement.findings
    assert (finding["column"], json.loads(finding["values"])) == ("id", [3.0, 3.0])


def test_too_few_and_too_old_rows_are_found(tmp_path: Path) -> None:
    verdict = judge(rows().head(100), tmp_path)
    assert [f["problem"] for f in verdict.measurement.findings] == [
        "table: table row count to be between: observed 100",
        "t: newest row not older than 3d: observed 2024-01-05T03:00:00",
    ]


def test_the_label_delay_is_not_held_against_the_newest_row(tmp_path: Path) -> None:
    frame = rows().head(250)  # newest row of 11 January, ten hours
    assert judge(frame, tmp_path, contract(label_delay="2d")).passed
    frame = rows().head(235)
    assert not judge(frame, tmp_path).passed
    assert judge(frame, tmp_path, contract(label_delay="2d")).passed


def test_a_column_of_nothing_but_gaps_is_no_wrong_type(tmp_path: Path) -> None:
    frame = rows()
    frame["free"] = None
    frame["gaps"] = None
    assert judge(frame, tmp_path).passed


def test_many_faults_are_all_told(tmp_path: Path) -> None:
    frame = rows()
    frame.at[1, "a"], frame.at[2, "a"], frame.at[3, "i"], frame.at[4, "s"] = 50.0, "x", 0.5, "q"
    findings = judge(frame, tmp_path).measurement.findings
    assert sorted(f["column"] for f in findings) == ["a", "a", "i", "s"]


@pytest.fixture
def with_suite(tmp_path: Path) -> Callable[[Any], Verdict]:
    def judged(suite: Any) -> Verdict:
        (tmp_path / "suite.json").write_text(suite if isinstance(suite, str) else json.dumps(suite))
        data = contract(contract={"min_rows": 1, "suite": "suite.json"})
        frame = rows()
        frame.at[3, "a"] = 99.0
        return judge(frame, tmp_path, data)

    return judged


def expectation(kind: str, **arguments: Any) -> dict[str, Any]:
    return {"type": kind, "kwargs": arguments}


def test_the_teams_suite_is_judged_too(with_suite: Callable[[Any], Verdict]) -> None:
    verdict = with_suite(
        {
            "expectations": [
                expectation("expect_column_mean_to_be_between", column="gaps", min_value=5),
                expectation("expect_column_values_to_not_be_null", column="y"),
                expectation("expect_column_values_to_not_be_null", column="gone"),
            ]
        }
    )
    assert [f["column"] for f in verdict.measurement.findings] == ["a", "gaps", "gone"]
    assert "does not exist" in verdict.measurement.findings[2]["problem"]


def test_the_teams_suite_cannot_loosen_the_spec(with_suite: Callable[[Any], Verdict]) -> None:
    verdict = with_suite(
        {"expectations": [expectation("expect_column_values_to_be_between", column="a", min_value=-1e9)]}
    )
    (finding,) = verdict.measurement.findings
    assert json.loads(finding["values"]) == [99.0]


@pytest.mark.parametrize(
    ("suite", "said"),
    [
        ("{", "not a Great Expectations suite"),
        ([], "not a Great Expectations suite"),
        ({"expectations": ["x"]}, "not a Great Expectations suite"),
        ({"expectations": [{"kwargs": {}}]}, "not a Great Expectations suite"),
        ({"expectations": [expectation("expect_nonsense")]}, "'expect_nonsense' is not usable: expect_nonsense not found"),
        ({"expectations": [expectation("expect_column_mean_to_be_between", colum="a")]}, "is not usable: .*colum extra fields"),
    ],
)  # fmt: skip
def test_a_broken_suite_is_an_error_of_the_spec_in_one_line(
    with_suite: Callable[[Any], Verdict], suite: Any, said: str
) -> None:
    with pytest.raises(SpecError, match=said) as raised:
        with_suite(suite)
    assert "\n" not in str(raised.value)
