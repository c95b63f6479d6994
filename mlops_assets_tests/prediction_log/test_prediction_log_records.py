"""What is written comes back as it was."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.prediction_log.records import Answers, End, Feedback, Schema, decode, encode

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)


def answers(inputs: list[list[Any]], outputs: list[Any]) -> Answers:
    return Answers("id", 1, "champion", "me", 3, False, None, inputs, outputs)


@given(st.lists(st.lists(VALUES, min_size=2, max_size=2), max_size=4), st.lists(VALUES, max_size=2))
def test_values_come_back_with_their_types(inputs: list[list[Any]], outputs: list[Any]) -> None:
    found = decode(encode(answers(inputs, outputs)))
    assert isinstance(found, Answers)
    assert repr(found.inputs) == repr(inputs)
    assert repr(found.outputs) == repr(outputs)


@given(
    st.text(max_size=9), st.lists(st.tuples(st.text(max_size=9), VALUES, st.integers(0, 2**50)), max_size=3)
)
def test_feedback_comes_back(model: str, items: list[tuple[str, Any, int]]) -> None:
    assert decode(encode(Feedback(model, "label", 7, items))) == Feedback(model, "label", 7, items)


def test_a_whole_number_too_large_for_64_bits_becomes_a_floating_point_one() -> None:
    found = decode(encode(answers([[10**30, 5, -(10**20)]], [[2**64, 1]])))
    assert isinstance(found, Answers)
    assert found.inputs == [[1e30, 5, -1e20]]
    assert found.outputs == [[float(2**64), 1]]


def test_kinds_are_told_apart() -> None:
    assert decode(encode(End())) == End()
    assert decode(encode(Schema(3, "m", "1", ("a", "b")))) == Schema(3, "m", "1", ("a", "b"))


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x90", b"\x91\xa1Q", b"\x92\xa1A\x01", b"text"])
def test_bytes_that_are_no_record_are_an_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(payload)
