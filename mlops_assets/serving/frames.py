"""The usual requests of any model, as a frame."""

from typing import TYPE_CHECKING, Any

from mlops_assets.serving.matrices import Numbers
from mlops_assets.serving.plausibility import require_allowed
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import typed
from mlops_assets.serving.usual_requests import Layout, Reader, RowsSent
from mlops_assets.specs.data_spec import Column
from mlops_assets.training.envelope import NUMBERS
from mlops_assets.training.manifest import Manifest

if TYPE_CHECKING:
    import pandas as pd

_TEXTS = frozenset({str, type(None)})


class FrameReader(Reader):
    """Reads the usual requests of a version that takes whatever a spec can declare.

    A column at a time pandas takes as long as for all of them; so numbers become one matrix first.

    Args:
        manifest: Declares the inputs.
    """

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        numbers = [column for column in manifest.inputs if column.type in NUMBERS]
        self._number_names = [column.name for column in numbers]
        self._numbers = Numbers(numbers)
        self._others = {column.name: column for column in manifest.inputs if column not in numbers}
        self._time_column = Column(name=manifest.time_column, type="datetime")

    def values(self, layout: Layout, rows: RowsSent) -> "pd.DataFrame | None":
        """Return rows as a frame; see :class:`Reader`."""
        import pandas as pd

        others = self._others
        if self._time_column.name in layout.places:
            others = {self._time_column.name: self._time_column, **others}
        matrix = self._numbers.matrix(layout.picked(self._number_names, rows))
        if matrix is None:
            return None
        columns: dict[str, Any] = dict(zip(self._number_names, matrix.T, strict=True))
        try:
            for name, column in others.items():
                place = layout.places[name]
                columns[name] = _as_declared([row[place] for row in rows], column)
            frame = pd.DataFrame({name: columns.pop(name) for name in self._names} | columns)
            require_allowed(frame, [*self._others.values()])
        except Refusal:
            return None
        return frame


def _as_declared(values: list[Any], column: Column) -> "pd.Series[Any]":
    """Return values as a column of its declared type.

    Raises:
        Refusal: One is not of it.
    """
    import pandas as pd

    if column.type == "string" and column.nullable and _TEXTS.issuperset(map(type, values)):
        return pd.Series(values, dtype="str")
    return typed(values, column)
