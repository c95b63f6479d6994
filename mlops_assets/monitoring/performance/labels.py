"""Labels as the prediction log holds them, made into the numbers that metrics take."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.specs.tasks import Task

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

_EXAMPLES = 5


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of some rows.

    Attributes:
        target: Class codes, or values; NaN where no label is known that can be used. Shape (n,).
        unusable: Of how many rows a label came that is no class of the model, or no number.
        examples: A few of these labels.
    """

    target: "Array"
    unusable: int = 0
    examples: tuple[str, ...] = ()


def encode_labels(values: "pa.Array | pa.ChunkedArray", task: Task, classes: Sequence[Any]) -> Labels:
    """Return labels as numbers, one distinct value at a time.

    Args:
        values: The label of each row, null where none is known; of any type.
        task: What is predicted.
        classes: Class labels in the order of the probabilities.
    """
    import numpy as np
    import pyarrow as pa

    given = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if task == "regression" and (pa.types.is_floating(given.type) or pa.types.is_integer(given.type)):
        numbers = given.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        infinite = np.isinf(numbers)
        return Labels(np.where(infinite, np.nan, numbers), *_refused(numbers[infinite].tolist()))
    in_json = isinstance(given.type, pa.JsonType)
    kept = given.storage if in_json else given
    coded = kept if pa.types.is_dictionary(kept.type) else kept.dictionary_encode()
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    texts = coded.dictionary.to_pylist()
    # Null is the last.
    distinct = [*(map(msgspec.json.decode, texts) if in_json else texts), None]
    meanings = np.array(_numbers(distinct) if task == "regression" else _codes(distinct, classes))
    target = meanings[codes]
    bad = {place for place, each in enumerate(distinct) if each is not None and np.isnan(meanings[place])}
    refused = [distinct[code] for code in codes[np.isnan(target)] if code in bad] if bad else []
    return Labels(target, *_refused([each for each in refused if each == each]))


def _codes(distinct: list[Any], classes: Sequence[Any]) -> list[float]:
    known = {label: float(code) for code, label in enumerate(classes)}
    return [known.get(label, float("nan")) for label in distinct]


def _numbers(distinct: list[Any]) -> list[float]:
    import pandas as pd

    from mlops_assets.data.columns import convert

    converted, _ = convert(pd.Series(distinct, dtype="object"), "number")
    return [float(value) for value in converted.astype("float64")]


def _refused(labels: list[Any]) -> tuple[int, tuple[str, ...]]:
    return len(labels), tuple(sorted({str(label) for label in labels})[:_EXAMPLES])
