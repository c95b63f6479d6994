"""One look at the log: the Parquet files, and the segments that are not in them yet, as one."""

import copy
import functools
import operator
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.prediction_log.catalogue import Catalogue
from mlops_assets.prediction_log.chunks import Chunk, Files, InMemory, matching, with_more
from mlops_assets.prediction_log.input_columns import CARRIED, carried, field_of
from mlops_assets.prediction_log.joining import SAID, identified, last_said
from mlops_assets.prediction_log.records import SHADOW
from mlops_assets.prediction_log.rows import Rows
from mlops_assets.prediction_log.segments import segments_in
from mlops_assets.prediction_log.tables import ENTITY_FEEDBACK, FEEDBACK, PREDICTIONS, TableForm

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
        self._files = Files(folder)
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

        Of its columns only those named are read, all if None; for what was asked and answered see
        :meth:`predictions`.
        """
        import pyarrow as pa
        import pyarrow.dataset as ds

        schema, names = form.schema(), list(columns or form.columns)
        conditions = [*within(form, since, before), *([] if only is None else [only])]
        wanted = functools.reduce(operator.and_, conditions) if conditions else None
        files = self._catalogue.files(form.name, self._model, since=since, before=before, ids=ids)
        paths = [str(self._folder / file.path) for file in files]
        recent = [table for part, table in self.recent.items() if part.table == form.name]
        stored = ds.dataset(paths, schema=schema, format="parquet")
        found = [stored.to_table(columns=names, filter=wanted)] if paths else []
        found += [(table if wanted is None else table.filter(wanted)).select(names) for table in recent]
        return pa.concat_tables([schema.empty_table().select(names), *found])

    def chunks(
        self,
        *,
        since: int | None = None,
        before: int | None = None,
        ids: tuple[str, str] | None = None,
        at_once: int = 1,
    ) -> Iterator[Chunk]:
        """Yield the model's predictions of files with some between two times and two ids, and all recent.

        Row groups come one by one, or several at once that have no more than so many rows.
        """
        for file in self._catalogue.files(PREDICTIONS.name, self._model, since=since, before=before, ids=ids):
            yield from self._files.chunks(file, at_once)
        for part, table in self.recent.items():
            if part.table == PREDICTIONS.name:
                yield InMemory(part.model, table)

    def predictions(
        self,
        only: "pc.Expression",
        about: Sequence[str],
        columns: Sequence[str],
        *,
        inputs: Sequence[str] | None = None,
        since: int | None = None,
        before: int | None = None,
        ids: tuple[str, str] | None = None,
    ) -> "Iterator[tuple[str, pa.Table]]":
        """Yield the model's predictions chunk by chunk, each with the name of their model.

        Args:
            only: Which are wanted.
            about: The columns that this is about, which are read first.
            columns: Further columns.
            inputs: Inputs that are wanted; if None, all that the predictions carried, and which these are.
            since: Time of the first event.
            before: Time of the last event, exclusive.
            ids: Two ids between which those lie that are wanted.
        """
        wanted = functools.reduce(operator.and_, within(PREDICTIONS, since, before), only)
        keys = {*about, PREDICTIONS.time}
        for chunk in self.chunks(since=since, before=before, ids=ids):
            places, found = matching(chunk, wanted, [*keys])
            if not len(found):
                continue
            found = with_more(found, chunk, places, {*columns} | ({CARRIED} if inputs is None else set()))
            sent = carried(found) if inputs is None else inputs
            yield chunk.model, with_more(found, chunk, places, map(field_of, sent))

    def known(
        self, wanted: "pa.ChunkedArray", kind: str, since: int, known_by: datetime, *, shadow: bool
    ) -> "pa.Table":
        """Return what was known by a time of predictions; see :func:`.joining.last_said`.

        Args:
            wanted: Their ids.
            kind: Kind of feedback.
            since: Earliest time of their events.
            known_by: What was observed later is left out.
            shadow: Whether they are those of the shadow, which an entity's feedback reaches too.
        """
        import pyarrow.compute as pc

        if not len(wanted):
            return last_said(FEEDBACK.schema().empty_table())
        bounds = pc.min_max(wanted)
        said = self.said((bounds["min"].as_py(), bounds["max"].as_py()), kind, since, known_by, shadow=shadow)
        return last_said(said.filter(pc.field("prediction_id").isin(wanted.combine_chunks())))

    def said(
        self, ids: tuple[str, str], kind: str, since: int, known_by: datetime, *, shadow: bool
    ) -> "pa.Table":
        """Return all that was said by a time of predictions: by ids between two, and by entities.

        Args:
            ids: The ids.
            kind: Kind of feedback.
            since: Earliest time of the predictions' events.
            known_by: What was observed later is left out.
            shadow: Whether it is about what the shadow answered.

        Returns:
            What :func:`.joining.last_said` takes.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        by_then = (pc.field("kind") == kind) & (
            pc.field("observed_at") <= pa.scalar(known_by, pa.timestamp("us"))
        )
        said = self.rows(FEEDBACK, ids=ids, only=by_then, columns=SAID)
        about = self.rows(ENTITY_FEEDBACK, since=since, only=by_then)
        if not len(about):
            return said
        latest = pc.max(about["event_time"].cast(pa.int64())).as_py()
        among = pc.field("entity").isin(about["entity"].unique())
        candidates = self.rows(
            PREDICTIONS, since=since, before=latest + 1, only=seen(SHADOW if shadow else None) & among,
            columns=("entity", "event_time", "prediction_id"),
        )  # fmt: skip
        return pa.concat_tables([said, identified(about, candidates).select(SAID)])


def seen(arm: str | None) -> "pc.Expression":
    """Return what selects the answers of an arm, or all that callers saw; never those to probes."""
    import pyarrow.compute as pc

    of_arm = pc.field("arm") != SHADOW if arm is None else pc.field("arm") == arm
    return ~pc.field("probe") & of_arm


def within(form: TableForm, since: int | None, before: int | None) -> "list[pc.Expression]":
    """Return what selects the rows of a table between two times (the second exclusive)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    time = pc.field(form.time)
    return [
        *([] if since is None else [time >= pa.scalar(since, pa.timestamp("us"))]),
        *([] if before is None else [time < pa.scalar(before, pa.timestamp("us"))]),
    ]
