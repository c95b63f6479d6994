"""Score a file: read, check, predict, write, and nothing to be seen of it before all of it is right.

Four things go on at once: the next chunk is read, one is checked and predicted, one before it is saved and
named, those before that are written.
However long the file, no more than a few chunks are in memory.
"""

import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.digests import of_file, of_json
from mlops_assets.errors import DataError
from mlops_assets.home import storage_errors
from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.prediction_ids import PredictionIds
from mlops_assets.scoring.checks import Signature
from mlops_assets.scoring.forms import Choice, Form, FormName, choose
from mlops_assets.scoring.inputs import CHUNK_ROWS, Input, ParquetInput, open_input
from mlops_assets.scoring.outputs import FileType, ScoredColumns, Writer, file_type, part_of
from mlops_assets.scoring.parts import Parts, Plan
from mlops_assets.scoring.sql_input import SqlRows, copy_rows
from mlops_assets.serving.table import Resident
from mlops_assets.specs.data_spec import ColumnType

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_FORMAT = 1
# Predictions are small; so many chunks can wait until it is known what they are the predictions of.
_PARTS_AHEAD = 16
# What makes a prediction what it is; how it is written does not.
_PREDICTED = ("model", "version", "candidate", "input")


@dataclass(frozen=True)
class Progress:
    """How far a scoring is.

    Attributes:
        rows: How many rows are scored.
        total: How many there are; of a text file nearly.
        resumed: How many had been scored before this run.
        seconds: Since the first of the others was read.
    """

    rows: int
    total: int
    resumed: int
    seconds: float

    @property
    def rate(self) -> float:
        """Rows a second."""
        return (self.rows - self.resumed) / max(self.seconds, 1e-9)

    @property
    def remaining(self) -> float:
        """Seconds that the rest will take at this rate."""
        return max(0, self.total - self.rows) / max(self.rate, 1e-9)


@dataclass(frozen=True)
class Scored:
    """A file that was scored whole, and is about to appear.

    Attributes:
        job: Id of the scoring, the same for all runs that it took.
        input: Name of what was scored.
        input_digest: Digest of its content.
        rows: How many rows it has.
        resumed: How many of them had been scored by an earlier run.
        output: The file.
        output_digest: Digest of its bytes.
        plan: What was decided before the first row.
        source: The rows, to be read again.
        signature: How its columns are used.
        columns: Makes the output's columns, prediction ids among them.
        parts: The predictions.
    """

    job: str
    input: str
    input_digest: str
    rows: int
    resumed: int
    output: Path
    output_digest: str
    plan: Plan
    source: Input = field(repr=False)
    signature: Signature = field(repr=False)
    columns: ScoredColumns = field(repr=False)
    parts: Parts = field(repr=False)


@dataclass(frozen=True)
class Scorer:
    """Scores files with one version.

    Args:
        resident: The version, proven.
        ids: Makes prediction ids.
        form: The form that predicts; found by measuring if None.
        progress: Told after each chunk.
        deliver: Told before the output appears, also if an earlier run had come so far.
    """

    resident: Resident
    ids: PredictionIds
    form: FormName | None = None
    progress: Callable[[Progress], None] = lambda progress: None
    deliver: Callable[[Scored], None] = lambda scored: None

    def score(self, source: Path | SqlRows, out: Path, keep: Sequence[str] = ()) -> Scored:
        """Write the predictions for all rows of a source to a file.

        Killed and run again, it goes on after the last whole chunk, and the file has the bytes that it
        would have had.

        Args:
            source: A CSV or Parquet file, a folder of Parquet files, or a table or query.
            out: The file, ``.parquet`` or ``.csv``; replaced if it exists.
            keep: Columns to carry over.

        Raises:
            BusyError: Another process writes that file.
            DataError: The rows cannot be read or are none that the model takes; nothing was written.
            StorageError: The output cannot be written; what is done is taken up by the next run.
        """
        kind = file_type(out)
        types = {column.name: column.type for column in self.resident.package.manifest.inputs}
        rows = open_input(source, types) if isinstance(source, Path) else None
        if isinstance(source, Path) and source.resolve() == out.resolve():
            raise DataError(f"{out} is also the input; write to another file")
        with storage_errors(out), Parts.owned(out) as parts:
            try:
                if isinstance(source, SqlRows):
                    rows = self._copied(source, types, parts)
                assert rows is not None
                return self._score(rows, out, kind, tuple(keep), parts)
            except DataError:
                parts.remove()  # the same rows would be as wrong again
                raise

    def _copied(self, source: SqlRows, types: Mapping[str, ColumnType], parts: Parts) -> Input:
        # Named by what was asked, so that another query does not go on with these rows.
        file = parts.folder / f"input-{source.asked[:16]}.parquet"
        copy_rows(source, types, file)
        return ParquetInput.of(source.name, [file])

    def _score(self, rows: Input, out: Path, kind: FileType, keep: tuple[str, ...], parts: Parts) -> Scored:
        signature = Signature.of(self.resident.package.manifest, rows.name, rows.columns, keep)
        known = self._known(rows, kind, signature, parts)
        done = parts.count() if known else 0
        choice = Choice(known.form, known.why) if known else self._choice(rows, signature)
        with (
            Form(self.resident.package, choice.form) as form,
            _ahead(rows.chunks(signature.columns, done), 1) as tables,
            _ahead(_predicted(tables, signature, form, done), _PARTS_AHEAD) as coming,
        ):
            # The first chunks are predicted while the digest of all of them is made.
            plan = known or self._begun(rows, kind, signature, choice, parts)
            columns = self._columns(plan, keep)
            whole = parts.folder / f"whole.{kind}"
            with Writer(whole, kind) as writer:
                count = self._write(coming, rows.rows, columns, done, parts, writer)
        with whole.open("rb") as written:
            os.fsync(written.fileno())
        scored = Scored(
            job=plan.job,
            input=rows.name,
            input_digest=rows.digest,
            rows=count,
            resumed=min(done * CHUNK_ROWS, count),
            output=out,
            output_digest=of_file(whole),
            plan=plan,
            source=rows,
            signature=signature,
            columns=columns,
            parts=parts,
        )
        self.deliver(scored)
        whole.replace(out)
        parts.remove()
        return scored

    def _known(self, rows: Input, kind: FileType, signature: Signature, parts: Parts) -> Plan | None:
        """Return the plan of an earlier run that this one goes on with; without one, forget its parts."""
        known = parts.plan()
        if known and self.form in (None, known.form) and known.about == self._about(rows, kind, signature):
            return known
        parts.forget()
        return None

    def _choice(self, rows: Input, signature: Signature) -> Choice:
        first = next(rows.chunks(signature.columns), None)
        if first is None:
            raise DataError(f"{rows.name} has no rows")
        checked = signature.checked(first, 0)
        if self.form:
            return Choice(self.form, f"{self.form}, as asked for")
        return choose(self.resident.package, checked, rows.rows)

    def _begun(self, rows: Input, kind: FileType, signature: Signature, choice: Choice, parts: Parts) -> Plan:
        plan = Plan(
            job=secrets.token_hex(16),
            about=self._about(rows, kind, signature),
            ids_from=microseconds(self.resident.evidence.made_at),
            form=choice.form,
            why=choice.says,
        )
        parts.begin(plan)
        return plan

    def _about(self, rows: Input, kind: FileType, signature: Signature) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "model": self.resident.model,
            "version": self.resident.version,
            "candidate": self.resident.package.digest,
            "input": rows.digest,
            "keep": list(signature.kept),
            "output": kind,
        }

    def _columns(self, plan: Plan, keep: tuple[str, ...]) -> ScoredColumns:
        return ScoredColumns(
            self.resident.package.manifest,
            self.resident.version,
            keep,
            self.ids,
            plan.ids_from,
            of_json([*(plan.about[name] for name in _PREDICTED), plan.form]),
        )

    def _write(
        self,
        coming: "Iterator[pa.Table]",
        total: int,
        columns: ScoredColumns,
        done: int,
        parts: Parts,
        writer: Writer,
    ) -> int:
        """Write the parts that are done and those that come; return how many rows they have."""
        count, resumed, started = 0, 0, time.perf_counter()
        with _ahead(_saved(coming, columns, done, parts), 1) as tables:
            for number, table in enumerate(tables):
                writer.write(table)
                count += len(table)
                if number < done:
                    resumed, started = count, time.perf_counter()
                else:
                    self.progress(Progress(count, max(count, total), resumed, time.perf_counter() - started))
        return count


def _saved(
    coming: "Iterator[pa.Table]", columns: ScoredColumns, done: int, parts: Parts
) -> "Iterator[pa.Table]":
    """Yield the output's rows for the parts that are done, and for those that come once they are saved."""
    first = 0
    for number in range(done):
        part = parts.read(number)
        yield columns.scored(part, first)
        first += len(part)
    for number, part in enumerate(coming, done):
        parts.save(number, part)
        yield columns.scored(part, first)
        first += len(part)


def _predicted(
    tables: "Iterator[pa.Table]", signature: Signature, form: Form, done: int
) -> "Iterator[pa.Table]":
    """Yield what has to be remembered of each table, the first of which is the one after those done."""
    first = done * CHUNK_ROWS
    for table in tables:
        predicted = form.predict(signature.checked(table, first))
        _require_finite(predicted, signature.name, first)
        yield part_of(predicted, table, signature.kept)
        first += len(table)


def _require_finite(predicted: "np.ndarray[Any, Any]", name: str, first: int) -> None:
    import numpy as np

    finite = np.isfinite(predicted).reshape(len(predicted), -1).all(axis=1)
    if not finite.all():
        row = int(finite.argmin())
        said = f"the model has no finite prediction ({predicted[row]})"
        raise DataError(f"{name}, row {first + row + 1:,}: {said}")


@contextmanager
def _ahead(items: "Iterator[pa.Table]", count: int) -> "Iterator[Iterator[pa.Table]]":
    """Yield the items of an iterator, of which the next few are made while one is looked at."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="scoring")
    coming = deque(pool.submit(next, items, None) for _ in range(count))

    def each() -> "Iterator[pa.Table]":
        while (item := coming.popleft().result()) is not None:
            coming.append(pool.submit(next, items, None))
            yield item

    try:
        yield each()
    finally:
        pool.shutdown(cancel_futures=True)
