"""Values as clients may send them, and how a reader of the log must find them."""

from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import strategies as st

from mlops_assets.prediction_log.tables import from_json, to_json

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
_ANY = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), TEXTS,
    st.sampled_from([2**53, 2**53 + 1, 1, 1.0, "1", "inf"]),
)  # fmt: skip
# What the values of one column may be.
KINDS = (
    st.none(), st.booleans(), st.integers(-9, 9), st.integers(-(2**63), 2**63 - 1), st.floats(), TEXTS,
    st.integers(-9, 9) | st.floats(), st.none() | TEXTS, st.lists(st.floats(), max_size=3),
    st.recursive(_ANY, lambda v: st.lists(v, max_size=2) | st.dictionaries(TEXTS, v, max_size=2)),
)  # fmt: skip


def told(values: Iterable[Any]) -> list[Any]:
    """Return values as JSON says them, where 1 is 1.0 and not true."""
    return [_exact(from_json(to_json(value))) for value in values]


def told_rows(rows: Iterable[Mapping[str, Any]]) -> list[list[tuple[str, Any]]]:
    """Return rows likewise, each with its columns in their order."""
    return [[*zip(row, told(row.values()), strict=True)] for row in rows]


def _exact(value: Any) -> Any:
    if isinstance(value, bool):
        return "truth", value
    if isinstance(value, dict):
        return {name: _exact(each) for name, each in value.items()}
    return [_exact(each) for each in value] if isinstance(value, list) else value
