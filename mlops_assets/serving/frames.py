"""The usual requests of any model, as a frame."""

from typing import TYPE_CHECKING

from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import rows_of
from mlops_assets.serving.usual_requests import Layout, Reader, RowsSent
from mlops_assets.training.package import Manifest

if TYPE_CHECKING:
    import pandas as pd


class FrameReader(Reader):
    """Reads the usual requests of a version that takes whatever a spec can declare.

    Args:
        manifest: Declares the inputs.
    """

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        self._manifest = manifest

    def values(self, layout: Layout, rows: RowsSent) -> "pd.DataFrame | None":
        """Return rows as a frame; see :class:`Reader`."""
        columns = dict(zip(layout.places, map(list, zip(*rows, strict=True)), strict=True))
        try:
            return rows_of(columns, self._manifest).frame
        except Refusal:
            return None
