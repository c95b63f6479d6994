"""A column is of the type of its values, and gives them back."""

from math import inf, nan
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.prediction_log.typed_columns import merged, plain, readable, typed, typed_outputs
from mlops_assets_tests.prediction_log.json_values import KINDS, told

LONG = 2**53
COLUMNS = st.sampled_from(KINDS).flatmap(lambda values: st.lists(values, max_size=8))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([True, None, False], pa.bool_()),
        ([1, nan, 2**63 - 1], pa.int64()),
        ([1.5, 2, None, inf], pa.float64()),
        ([0.5, LONG, -LONG], pa.float64()),
        (["a", None, nan], pa.string()),
        ([None], pa.null()),
        ([0.5, LONG + 1], pa.json_()),
        ([2**63], pa.json_()),
        ([True, 1], pa.json_()),
        ([0.5, True], pa.json_()),
        ([1, "1"], pa.json_()),
        ([[1.5]], pa.json_()),
        ([{"a": 1}], pa.json_()),
    ],
)
def test_the_type_is_what_the_values_are(values: list[Any], kind: pa.DataType) -> None:
    found = typed(values)
    assert found.type == kind
    assert told(plain(found)) == told(values)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 0, 0.5, None, inf], pa.float64()),
        ([1, 0], pa.float64()),
        ([[0.1, 0.9], [1, nan, None], None], pa.list_(pa.field("element", pa.float64()))),
        ([[0.1], 0.5], pa.json_()),
        ([[inf]], pa.json_()),
        ([[True]], pa.json_()),
        ([[LONG + 1, 0.5]], pa.json_()),
        ([[[0.5]]], pa.json_()),
        (["yes"], pa.json_()),
        ([True], pa.json_()),
        ([LONG + 1], pa.json_()),
    ],
)
def test_predictions_are_numbers_lists_of_numbers_or_json(values: list[Any], kind: pa.DataType) -> None:
    found = typed_outputs(values)
    assert found.type == kind
    assert told(plain(found)) == told(values)


@given(st.lists(COLUMNS, min_size=1, max_size=4), st.booleans())
def test_columns_together_hold_what_each_held(pieces: list[list[Any]], are_outputs: bool) -> None:
    into = typed_outputs if are_outputs else typed
    together = merged([pa.chunked_array([into(values)]) for values in pieces])
    assert told(plain(together)) == told([value for values in pieces for value in values])
    twice = merged([together, pa.chunked_array([into(pieces[0])])])
    assert told(plain(twice))[: len(together)] == told(plain(together))


@pytest.mark.parametrize(
    ("values", "others", "kind"),
    [
        ([1], [0.5], pa.float64()),
        ([LONG + 1], [0.5], pa.json_()),
        ([1], [None], pa.int64()),
        ([nan], ["a"], pa.string()),
        ([True], [1], pa.json_()),
        (["a"], [1], pa.json_()),
    ],
)
def test_columns_of_several_types_become_one_that_holds_all(
    values: list[Any], others: list[Any], kind: pa.DataType
) -> None:
    pair = [pa.chunked_array([typed(values)]), pa.chunked_array([typed(others)])]
    assert merged(pair).type == merged(pair[::-1]).type == kind


def test_text_is_read_as_categories_and_values_of_several_kinds_stay_told_apart() -> None:
    assert readable(typed(["a", None, "a"])).type == pa.dictionary(pa.int32(), pa.string())
    values = ["a", 7, None, "7", [True], 'say "a"', nan, inf]
    found = readable(typed(values))
    assert found.type == pa.json_()
    assert told(plain(found)) == told(["a", 7, None, "7", [True], 'say "a"', None, "inf"])
