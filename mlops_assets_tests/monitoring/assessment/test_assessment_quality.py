"""Quality of served inputs: every trouble found, counted, and shown with examples."""

from typing import Any

import pyarrow as pa

from mlops_assets.monitoring.assessment.quality import quality_of
from mlops_assets.monitoring.profiles.profile import Profile, column_profile
from mlops_assets.specs.data_spec import Column

COLUMNS = [
    Column.model_validate(c)
    for c in (
        {"name": "speed", "range": [0, 100]},
        {"name": "low", "range": [None, 5], "nullable": True},
        {"name": "word", "type": "string", "allowed": ["a", "b"]},
        {"name": "free", "type": "string", "nullable": True},
    )
]


def served(**columns: list[Any]) -> Profile:
    """Return the profile of ten rows, good ones but for the columns that are given."""
    good: dict[str, list[Any]] = {
        "speed": [1.0] * 10,
        "low": [1.0] * 10,
        "word": ["a"] * 10,
        "free": ["x"] * 10,
    }
    values = {**good, **columns}
    return Profile(
        {c.name: column_profile((pa.array([each]) for each in values[c.name]), c.type) for c in COLUMNS}
    )


def test_good_inputs_are_no_trouble() -> None:
    assert quality_of(served(), COLUMNS, None) == []


def test_every_trouble_is_found_and_counted() -> None:
    window = served(
        speed=[1.0, 200.0, -5.0, None, "fast", 1.0, 1.0, 1.0, 1.0, 1.0],
        low=[7.0, *[None] * 9],
        word=["a", "q", "q", None, 3, "a", "b", "a", "b", "a"],
    )
    found = {
        (f["column"], f["problem"]): (f["rows"], f["share"], f["values"])
        for f in quality_of(window, COLUMNS, None)
    }
    assert found == {
        ("speed", "not of type number"): (1, 0.1, "fast"),
        ("speed", "missing"): (1, 0.1, ""),
        ("speed", "outside 0.0 … 100.0"): (2, 0.2, "-5, 200"),
        ("low", "outside None … 5.0"): (1, 0.1, "7"),
        ("word", "not of type string"): (1, 0.1, "3"),
        ("word", "missing"): (1, 0.1, ""),
        ("word", "not an allowed value"): (2, 0.2, "q"),
    }


def test_gaps_that_are_allowed_are_told_when_they_become_many() -> None:
    holdout = served(low=[None, None, *[1.0] * 8])
    assert quality_of(served(low=[None] * 3 + [1.0] * 7), COLUMNS, holdout) == []
    (finding,) = quality_of(served(low=[None] * 10), COLUMNS, holdout)
    assert finding["problem"] == "missing more often than in the hold-out"
    assert (finding["rows"], finding["share"]) == (10, 1.0)
