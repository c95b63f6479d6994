"""Files of before each input was a column: they hold a row's inputs and its output as JSON texts."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from mlops_assets.prediction_log.input_columns import OUTPUT, as_columns, together
from mlops_assets.prediction_log.tables import PREDICTIONS
from mlops_assets.prediction_log.typed_columns import from_texts

if TYPE_CHECKING:
    import pyarrow as pa

_INPUTS = "inputs"


def is_old(columns: Collection[str]) -> bool:
    """Return whether a file with these columns is one of before."""
    return _INPUTS in columns


def converted(table: "pa.Table") -> "pa.Table":
    """Return what such a file holds as it would be written now."""
    import numpy as np
    import pyarrow as pa

    inputs, outputs = from_texts(table[_INPUTS]), from_texts(table[OUTPUT])
    form = PREDICTIONS.schema()
    alike: dict[tuple[str, ...], list[int]] = {}
    for place, row in enumerate(inputs):
        alike.setdefault(tuple(row), []).append(place)
    rest = {
        name: table[name] if name in table.column_names else pa.nulls(len(table), kind)
        for name, kind in zip(form.names, form.types, strict=True)
    }
    pieces = [
        as_columns(
            {name: column.take(places) for name, column in rest.items()},
            {name: [inputs[place][name] for place in places] for name in names},
            [outputs[place] for place in places],
        )
        for names, places in alike.items()
    ]
    written = np.concatenate([*alike.values()])
    return together(pieces).take(np.argsort(written))
