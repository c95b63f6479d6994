"""One look at the log: the Parquet files, and the segments that are not in them yet, as one."""

import copy
import functools
import operator
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.prediction_log.catalogue import Catalogue
from mlops_assets.prediction_log.joining import joined
from mlops_assets.prediction_log.records import SHADOW
from mlops_assets.prediction_log.segments import segments_in
from mlops_assets.prediction_log.tables import (
    ENTITY_FEEDBACK,
    FEEDBACK,
    PREDICTIONS,
    Rows,
    TableForm,
)

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc


class Reading:
    """What the log holds, as long as nothing is compacted or forgotten.

    Args:
        folder: The log's folder.
        catalogue: Its catalogue.
        model: The model that is asked about; None for all.

    Attributes:
        recent: Rows that are in no Parquet file yet.
        losses: What of their segments cannot be read.
    """

    def __init__(self, folder: Path, catalogue: Catalogue, model: str | None) -> None:
        self._folder, self._catalogue, self._model = folder, catalogue, model
        recent, consumed = Rows(model), catalogue.consumed()
        for segment in segments_in(folder):
            if segment.name not in consumed:
                recent.add(segment)
        self.recent, self.losses = recent.tables(), recent.losses

    def of(self, model: str) -> "Reading":
        """Return the same look at one of the models."""
        found = copy.copy(self)
        found._model = model
        found.recent = {part: table for part, table in self.recent.items() if part.model == model}
        return found

    def rows(
        self,
        form: TableForm,
        *,
        since: int | None = None,
        before: int | None = None,
        ids: tuple[str, str] | None = None,
        only: "pc.Expression | None" = None,
        columns: Sequence[str] | None = None,
    ) -> "pa.Table":
        """Return the model's rows of a table between two times (the second exclusive) and two ids.

        Of its columns only those named are read, all if None.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        conditions = [] if only is None else [only]
        if since is not None:
            conditions.append(pc.field(form.time) >= pa.scalar(since, pa.timestamp("us")))
        if before is not None:
            conditions.append(pc.field(form.time) < pa.scalar(before, pa.timestamp("us")))
        files = self._catalogue.files(form.name, self._model, since=since, before=before, ids=ids)
        recent = [table for part, table in self.recent.items() if part.table == form.name]
        return self._selected(form, [file.path for file in files], recent, conditions, columns)

    def by_model(
        self, form: TableForm, prediction_id: str, only: "pc.Expression"
    ) -> "Iterator[tuple[str, pa.Table]]":
        """Yield, for each model that may have it, the rows of a prediction id."""
        for file in self._catalogue.files(form.name, ids=(prediction_id, prediction_id)):
            yield file.model, self._selected(form, [file.path], [], [only])
        for part, table in self.recent.items():
            if part.table == form.name:
                yield part.model, self._selected(form, [], [table], [only])

    def known(
        self, wanted: "pa.ChunkedArray", kind: str, since: int, known_by: datetime, *, shadow: bool
    ) -> dict[str, tuple[Any, int]]:
        """Return what was known by a time of predictions: value, and when it was observed, by id.

        Args:
            wanted: Their ids.
            kind: Kind of feedback.
            since: Earliest time of their events.
            known_by: What was observed later is left out.
            shadow: Whether they are those of the shadow, which an entity's feedback reaches too.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        if not len(wanted):
            return {}
        bounds = pc.min_max(wanted)
        by_then = (pc.field("kind") == kind) & (
            pc.field("observed_at") <= pa.scalar(known_by, pa.timestamp("us"))
        )
        said = self.rows(FEEDBACK, ids=(bounds["min"].as_py(), bounds["max"].as_py()), only=by_then)
        about = self.rows(ENTITY_FEEDBACK, since=since, only=by_then)
        candidates = None
        if len(about):
            latest = pc.max(about["event_time"].cast(pa.int64())).as_py()
            among = pc.field("entity").isin(about["entity"].unique())
            candidates = self.rows(
                PREDICTIONS, since=since, before=latest + 1, only=seen(SHADOW if shadow else None) & among
            )
        return joined(wanted, said, about, candidates)

    def _selected(
        self,
        form: TableForm,
        paths: list[str],
        recent: "list[pa.Table]",
        conditions: "list[pc.Expression]",
        columns: Sequence[str] | None = None,
    ) -> "pa.Table":
        import pyarrow as pa
        import pyarrow.dataset as ds

        schema, names = form.schema(), list(columns or form.columns)
        only = functools.reduce(operator.and_, conditions) if conditions else None
        stored = ds.dataset([str(self._folder / path) for path in paths], schema=schema, format="parquet")
        found = [stored.to_table(columns=names, filter=only)] if paths else []
        found += [(table if only is None else table.filter(only)).select(names) for table in recent]
        return pa.concat_tables([schema.empty_table().select(names), *found])


def seen(arm: str | None) -> "pc.Expression":
    """Return what selects the answers of an arm, or all that callers saw; never those to probes."""
    import pyarrow.compute as pc

    of_arm = pc.field("arm") != SHADOW if arm is None else pc.field("arm") == arm
    return ~pc.field("probe") & of_arm
