"""Columns that a spec has dropped, for a champion that still needs them to be compared with."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.data.sources import Window, in_canonical_order, read_window
from mlops_assets.errors import DataError
from mlops_assets.specs.data_spec import Column, Data

if TYPE_CHECKING:
    import pandas as pd


def with_further_columns(
    rows: "pd.DataFrame", further: Iterable[Column], data: Data, window: Window, folder: Path
) -> "pd.DataFrame":
    """Return rows of a snapshot with further columns of the source beside them.

    The snapshot itself holds what the spec declares and no more, so that its content does not depend on
    which model happens to serve.

    Args:
        rows: All rows of ``window`` as the snapshot has them.
        further: The columns to add.
        data: The spec's data part.
        window: Event times to read again.
        folder: The spec's folder, to which relative paths refer.

    Raises:
        DataError: The source no longer has these columns, or no longer gives these very rows.
    """
    wider = data.model_copy(update={"features": (*data.features, *further)})
    found = in_canonical_order(read_window(wider, window, folder), data)
    if len(found) == len(rows):
        found = found.set_axis(rows.index)
        if found[list(rows.columns)].equals(rows):
            return found
    raise DataError(f"the source no longer gives the rows it gave for {window}")
