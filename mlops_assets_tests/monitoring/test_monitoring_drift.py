"""Drift figures are Evidently's own, for every kind of column pandas may bring."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlops_assets.monitoring.drift import ColumnDrift, measure_drift

GENERATOR = np.random.default_rng(0)


def sample(rows: int, shift: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "x": GENERATOR.normal(shift, 1, rows),
            "flag": (GENERATOR.random(rows) < 0.3 + shift / 4).astype(float),
            "word": GENERATOR.choice(["a", "b", "c"], rows, p=[0.5, 0.3 - shift / 4, 0.2 + shift / 4]),
        }
    )


def by_column(found: list[ColumnDrift]) -> dict[str, ColumnDrift]:
    return {drift.column: drift for drift in found}


def evidently_says(
    reference: pd.DataFrame, current: pd.DataFrame, column: str, kind: str
) -> tuple[float, bool]:
    from evidently.legacy.calculations.stattests import get_stattest

    test = get_stattest(reference[column], current[column], kind, None)
    result = test(reference[column], current[column], kind, None)
    return float(result.drift_score), bool(result.drifted)


@pytest.mark.parametrize("rows", [300, 3000])
@pytest.mark.parametrize("shift", [0.0, 0.8])
def test_scores_and_verdicts_are_evidentlys_for_small_and_large_samples(rows: int, shift: float) -> None:
    reference, current = sample(rows), sample(rows, shift)
    found = by_column(measure_drift(reference, current, ["x", "flag"], ["word"]))
    for column, kind in {"x": "num", "word": "cat"}.items():
        score, drifted = evidently_says(reference, current, column, kind)
        assert found[column].score == pytest.approx(score)
        assert found[column].drifted == drifted == (shift > 0), found[column]
    small = rows <= 1000
    assert ("p_value" in found["x"].method) is small
    assert found["x"].threshold == (0.05 if small else 0.1)


def test_small_samples_are_judged_by_a_test_and_large_ones_by_a_distance() -> None:
    reference, current = sample(300), sample(300, 0.8)
    small = by_column(measure_drift(reference, current, ["x"], []))["x"]
    assert small.score == pytest.approx(stats.ks_2samp(reference["x"], current["x"]).pvalue)
    reference, current = sample(3000), sample(3000, 0.8)
    large = by_column(measure_drift(reference, current, ["x"], []))["x"]
    expected = stats.wasserstein_distance(reference["x"], current["x"]) / np.std(reference["x"])
    assert large.score == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("num", "Int64"), ("num", "Float64"), ("num", "boolean"), ("num", "int64[pyarrow]"), ("num", "bool"),
     ("cat", "string"), ("cat", "category"), ("cat", "str"), ("cat", "object")],
)  # fmt: skip
def test_every_pandas_type_is_tested_and_not_skipped(kind: str, dtype: Any) -> None:
    values: Any = GENERATOR.integers(0, 2, 600)
    if kind == "cat":
        values = np.array(["a", "b"])[values]
    column = pd.Series(values).astype(dtype)
    frame = pd.DataFrame({"c": column})
    if dtype != "bool":
        frame.loc[1::10, "c"] = None
    turned = frame.copy()
    turned["c"] = frame["c"].iloc[0]
    numeric, categorical = (["c"], []) if kind == "num" else ([], ["c"])
    (same,) = measure_drift(frame, frame, numeric, categorical)
    (other,) = measure_drift(frame, turned, numeric, categorical)
    assert (same.drifted, other.drifted) == (False, True)


def test_a_column_with_too_few_values_is_left_out() -> None:
    reference, current = sample(300), sample(300)
    current.loc[5:, "x"] = np.nan
    assert set(by_column(measure_drift(reference, current, ["x", "gone"], ["word"]))) == {"word"}
    assert measure_drift(reference, current.head(10), ["x"], ["word"]) == []


def test_the_report_is_written_whole(tmp_path: Path) -> None:
    report = tmp_path / "deep" / "report.html"
    measure_drift(sample(300), sample(300), ["x"], ["word"], report)
    text = report.read_text()
    assert "</html>" in text
    assert len(list(report.parent.iterdir())) == 1
