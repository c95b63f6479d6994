"""Score a file: read, check, predict, write, and nothing to be seen of it before all of it is right.

Three things go on at once: the next chunk is read and checked, one is predicted, the one before is written.
However long the file, no more than a few chunks are in memory.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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
from mlops_assets.scoring.outputs import FileType, ScoredColumns, Writer, file_type
from mlops_assets.scoring.parts import Parts, Plan
from mlops_assets.scoring.sql_input import SqlRows, copy_rows
from mlops_assets.serving.table import Resident
from mlops_assets.specs.model_spec import ColumnType

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

_FORMAT = 1
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
        plan, done = self._plan(rows, kind, signature, parts)
        columns = ScoredColumns(
            self.resident.package.manifest,
            self.resident.version,
            keep,
            self.ids,
            plan.ids_from,
            of_json([*(plan.about[name] for name in _PREDICTED), plan.form]),
        )
        whole = parts.folder / f"whole.{kind}"
        count = self._write(rows, signature, columns, plan, done, parts, whole, kind)
        with whole.open("rb") as written:
            os.fsync(written.fileno())
        resumed = min(done * CHUNK_ROWS, count)
        scored = Scored(
            job=plan.job,
            input=rows.name,
            input_digest=rows.digest,
            rows=count,
            resumed=resumed,
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

    def _plan(self, rows: Input, kind: FileType, signature: Signature, parts: Parts) -> tuple[Plan, int]:
        """Return the plan, and how many parts of it are done."""
        resident = self.resident
        about = {
            "format": _FORMAT,
            "model": resident.model,
            "version": resident.version,
            "candidate": resident.package.digest,
            "input": rows.digest,
            "keep": list(signature.kept),
            "output": kind,
        }
        known = parts.plan()
        if known is not None and known.about == about and self.form in (None, known.form):
            return known, parts.count()
        parts.forget()
        first = next(rows.chunks(signature.columns), None)
        if first is None:
            raise DataError(f"{rows.name} has no rows")
        checked = signature.checked(first, 0)
        asked = Choice(self.form, f"{self.form}, as asked for") if self.form else None
        choice = asked or choose(resident.package, checked, rows.rows)
        plan = Plan(
            job=secrets.token_hex(16),
            about=about,
            ids_from=microseconds(resident.evidence.made_at),
            form=choice.form,
            why=choice.says,
        )
        parts.begin(plan)
        return plan, 0

    def _write(
        self,
        rows: Input,
        signature: Signature,
        columns: ScoredColumns,
        plan: Plan,
        done: int,
        parts: Parts,
        whole: Path,
        kind: FileType,
    ) -> int:
        """Write the output beside where it will be; return how many rows it has."""
        count = 0
        with Writer(whole, kind) as writer, Form(self.resident.package, plan.form) as form:
            for number in range(done):
                part = parts.read(number)
                writer.write(columns.scored(part, count))
                count += len(part)
            resumed, started = count, time.perf_counter()
            chunks = _checked(rows, signature, done)
            with _ahead(chunks) as coming, _behind() as behind:
                for number, (table, checked) in enumerate(coming, done):
                    predicted = form.predict(checked)
                    _require_finite(predicted, rows.name, count)
                    part = columns.part(predicted, table)
                    behind(_written, parts, number, part, writer, columns, count)
                    count += len(part)
                    seconds = time.perf_counter() - started
                    self.progress(Progress(count, max(count, rows.rows), resumed, seconds))
        return count


def _written(
    parts: Parts, number: int, part: "pa.Table", writer: Writer, columns: ScoredColumns, first: int
) -> None:
    parts.save(number, part)
    writer.write(columns.scored(part, first))


def _checked(
    rows: Input, signature: Signature, after: int
) -> "Iterator[tuple[pa.Table, np.ndarray[Any, Any] | pd.DataFrame]]":
    first = after * CHUNK_ROWS
    for table in rows.chunks(signature.columns, after):
        yield table, signature.checked(table, first)
        first += len(table)


def _require_finite(predicted: "np.ndarray[Any, Any]", name: str, first: int) -> None:
    import numpy as np

    finite = np.isfinite(predicted).reshape(len(predicted), -1).all(axis=1)
    if not finite.all():
        row = int(finite.argmin())
        said = f"the model has no finite prediction ({predicted[row]})"
        raise DataError(f"{name}, row {first + row + 1:,}: {said}")


@contextmanager
def _ahead(items: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """Yield the items of an iterator, of which the next is made while one is looked at."""
    with ThreadPoolExecutor(1, thread_name_prefix="reader") as pool:

        def each() -> Iterator[Any]:
            coming = pool.submit(next, items, None)
            while (item := coming.result()) is not None:
                coming = pool.submit(next, items, None)
                yield item

        yield each()


@contextmanager
def _behind() -> Iterator[Callable[..., None]]:
    """Yield what calls a function while its caller goes on, each call after the one before has ended."""
    with ThreadPoolExecutor(1, thread_name_prefix="writer") as pool:
        pending: list[Future[None]] = []

        def call(function: Callable[..., None], *arguments: Any) -> None:
            if pending:
                pending.pop().result()
            pending.append(pool.submit(function, *arguments))

        yield call
        if pending:
            pending.pop().result()
