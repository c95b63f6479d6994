"""Quality of served inputs: every trouble found, counted, and shown with examples."""

from typing import Any

import pandas as pd

from mlops_assets.data.columns import to_declared_types
from mlops_assets.monitoring.quality import measure_quality
from mlops_assets.specs.model_spec import Column

COLUMNS = [
    Column.model_validate(c)
    for c in (
        {"name": "speed", "range": [0, 100]},
        {"name": "low", "range": [None, 5], "nullable": True},
        {"name": "word", "type": "string", "allowed": ["a", "b"]},
        {"name": "free", "type": "string", "nullable": True},
    )
]


def served(**columns: list[Any]) -> pd.DataFrame:
    good: dict[str, list[Any]] = {
        "speed": [1.0] * 10,
        "low": [1.0] * 10,
        "word": ["a"] * 10,
        "free": ["x"] * 10,
    }
    return to_declared_types(pd.DataFrame({**good, **columns}, dtype=object), COLUMNS)


def test_good_inputs_are_no_trouble() -> None:
    assert measure_quality(served(), COLUMNS) == []


def test_every_trouble_is_found_and_counted() -> None:
    rows = served(
        speed=[1.0, 200.0, -5.0, None, "fast", 1.0, 1.0, 1.0, 1.0, 1.0],
        low=[7.0, *[None] * 9],
        word=["a", "q", "q", None, 3, "a", "b", "a", "b", "a"],
    )
    found = {
        (f["column"], f["problem"]): (f["rows"], f["share"], f["values"])
        for f in measure_quality(rows, COLUMNS)
    }
    assert found == {
        ("speed", "not of type number"): (1, 0.1, "'fast'"),
        ("speed", "missing"): (1, 0.1, ""),
        ("speed", "outside 0.0 … 100.0"): (2, 0.2, "200.0, -5.0"),
        ("low", "outside None … 5.0"): (1, 0.1, "7.0"),
        ("word", "not of type string"): (1, 0.1, "3"),
        ("word", "missing"): (1, 0.1, ""),
        ("word", "not an allowed value"): (2, 0.2, "q"),
    }


def test_gaps_that_are_allowed_are_told_when_they_become_many() -> None:
    reference = served(low=[None, None, *[1.0] * 8])
    assert measure_quality(served(low=[None] * 3 + [1.0] * 7), COLUMNS, reference) == []
    (finding,) = measure_quality(served(low=[None] * 10), COLUMNS, reference)
    assert finding["problem"] == "missing more often than in the hold-out"
    assert (finding["rows"], finding["share"]) == (10, 1.0)
