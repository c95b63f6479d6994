"""Labels of any type become codes or values, and what cannot be used is counted and shown."""

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.monitoring.performance.labels import encode_labels


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (pa.array(["yes", None, "no", "yes"]), ("no", "yes")),
        (pa.array(["yes", None, "no", "yes"]).dictionary_encode(), ("no", "yes")),
        (pa.array([1.0, None, 0.0, 1.0]), (0, 1)),
        (pa.array([1, None, 0, 1]), (0, 1)),
        (pa.array([True, None, False, True]), (False, True)),
        (pa.chunked_array([["yes", None], ["no", "yes"]]), ("no", "yes")),
    ],
)
def test_a_class_becomes_its_place(values: pa.Array, classes: tuple[object, ...]) -> None:
    found = encode_labels(values, "binary_classification", classes)
    np.testing.assert_array_equal(found.target, [1, np.nan, 0, 1])
    assert found.unusable == 0


def test_a_label_that_the_model_does_not_know_is_counted_and_shown() -> None:
    found = encode_labels(pa.array(["a", "maybe", "b", "maybe", None]), "binary_classification", ("a", "b"))
    np.testing.assert_array_equal(found.target, [0, np.nan, 1, np.nan, np.nan])
    assert (found.unusable, found.examples) == (2, ("maybe",))


def test_values_are_numbers_and_text_is_none() -> None:
    numbers = encode_labels(pa.array([1.5, float("nan"), float("inf"), None]), "regression", ())
    np.testing.assert_array_equal(numbers.target, [1.5, np.nan, np.nan, np.nan])
    assert (numbers.unusable, numbers.examples) == (1, ("inf",))
    texts = encode_labels(pa.array(["1.5", "many", None]), "regression", ())
    assert texts.unusable == 2
    assert np.isnan(texts.target).all()


def test_of_no_labels_there_are_none() -> None:
    for task, classes in (("regression", ()), ("binary_classification", (0, 1))):
        found = encode_labels(pa.nulls(3), task, classes)  # type: ignore[arg-type]
        assert np.isnan(found.target).all()
        assert found.unusable == 0
