"""Many floats become a matrix at once, and only floats do."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.serving.packed_floats import matrix_of_floats

ANY_NUMBER = st.floats(allow_nan=False, allow_infinity=False)
# In msgpack whole numbers and short texts may be as long as a float.
NO_FLOAT = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64),
    st.text(max_size=12),
    st.just([]),
    st.lists(ANY_NUMBER, max_size=3),
    st.dictionaries(st.text(max_size=2), ANY_NUMBER, max_size=2),
)


@st.composite
def many_floats(draw: st.DrawFn) -> list[list[Any]]:
    width = draw(st.integers(1, 40))
    numbers = draw(st.lists(ANY_NUMBER, min_size=1, max_size=20))
    count = 400 // width + draw(st.integers(1, 20))
    return [[numbers[(row + place) % len(numbers)] for place in range(width)] for row in range(count)]


@given(many_floats())
def test_floats_are_what_numpy_makes_of_them(rows: list[list[float]]) -> None:
    found = matrix_of_floats(rows)
    assert found is not None
    assert found.dtype == np.float64
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, np.array(rows))


@given(many_floats(), st.data())
def test_what_else_is_among_them_is_noticed(rows: list[list[Any]], data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        row = data.draw(st.sampled_from(rows))
        row[data.draw(st.integers(0, len(row) - 1))] = data.draw(NO_FLOAT)
    assert matrix_of_floats(rows) is None


@given(st.lists(st.lists(NO_FLOAT, min_size=26, max_size=26), min_size=16, max_size=17))
def test_what_holds_no_float_is_none(rows: list[list[Any]]) -> None:
    assert matrix_of_floats(rows) is None


def test_texts_that_are_packed_as_long_as_floats_are_no_floats() -> None:
    for value in ("eight by", 2**40, -(2**40)):
        assert matrix_of_floats([[value] * 30 for _ in range(20)]) is None


def test_few_values_are_left_to_numpy() -> None:
    assert matrix_of_floats([[1.0, 2.0]]) is None
