"""Compaction: finished segments become Parquet files, exactly once, wherever it is killed.

Files are written and synced first, under names that nobody looks at. Then one transaction of the catalogue
makes them part of the log and their segments none. What is deleted after it, or was left by a compaction
that was killed before it, is deleted by the next one if need be.
"""

import fcntl
import os
import secrets
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from mlops_assets.home import in_turn, storage_errors
from mlops_assets.prediction_log.catalogue import Catalogue, FileEntry
from mlops_assets.prediction_log.input_columns import together
from mlops_assets.prediction_log.old_form import converted, is_old
from mlops_assets.prediction_log.parquet_writer import write
from mlops_assets.prediction_log.rows import Rows
from mlops_assets.prediction_log.segment_writer import MOST_BYTES
from mlops_assets.prediction_log.segments import Loss, Segment, segments_in, sync_file
from mlops_assets.prediction_log.tables import PREDICTIONS, TABLES, Part, TableForm

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET = "parquet"
DAMAGED = "damaged"
LOCK = "compaction.lock"
# A day's file with fewer rows is written anew with those that come, so that a day has few files.
_SMALL = 30_000


@dataclass(frozen=True)
class Compaction:
    """What one compaction did.

    Attributes:
        segments: Number of segments that are in Parquet files now.
        rows: Number of their rows.
        losses: What of them could not be read; the segments themselves are kept in ``damaged``.
    """

    segments: int
    rows: int
    losses: tuple[Loss, ...]


def compact(folder: Path, *, batch_bytes: int = MOST_BYTES) -> Compaction:
    """Turn all segments whose writers are done with them into Parquet files.

    If another compaction runs, this one waits for it.

    Args:
        folder: The log's folder.
        batch_bytes: Segments are taken together up to this size, which bounds memory.

    Raises:
        StorageError: Something cannot be written; what is not done is done by the next compaction.
    """
    catalogue = Catalogue(folder)
    taken, rows, losses = 0, 0, []
    with in_turn(folder / LOCK), storage_errors(folder):
        clear_away(folder, catalogue)
        waiting = segments_in(folder)
        while waiting:
            with ExitStack() as held:
                batch = _next_batch(waiting, batch_bytes, held)
                found = Rows()
                for segment in batch:
                    found.add(segment)
                rows += _replace(folder, catalogue, batch, found)
                taken += len(batch)
                losses += found.losses
                clear_away(folder, catalogue)
    return Compaction(taken, rows, tuple(losses))


def forget(folder: Path, model: str, before: int) -> int:
    """Delete the Parquet files of a model that hold nothing that was written since a time.

    Args:
        folder: The log's folder.
        model: Model name.
        before: Microseconds since 1970.

    Returns:
        How many rows were deleted.

    Raises:
        StorageError: The catalogue cannot be written.
    """
    catalogue = Catalogue(folder)
    with in_turn(folder / LOCK), storage_errors(folder):
        old = [
            file for table in TABLES for file in catalogue.files(table, model) if file.last_written < before
        ]
        with changing(folder):
            catalogue.drop(files=[file.path for file in old])
        clear_away(folder, catalogue)
    return sum(file.rows for file in old)


def clear_away(folder: Path, catalogue: Catalogue) -> None:
    """Delete what is not, or no longer, part of the log; for whoever holds the lock of compaction."""
    consumed = catalogue.consumed()
    damaged = {loss.segment for loss in catalogue.losses()}
    with changing(folder):
        for segment in segments_in(folder):
            if segment.name in consumed & damaged:
                (folder / DAMAGED).mkdir(exist_ok=True)
                segment.path.rename(folder / DAMAGED / segment.name)
            elif segment.name in consumed:
                segment.path.unlink()
        known = catalogue.all_paths()
        for file in (folder / PARQUET).glob("*/*/*.parquet"):
            if file.relative_to(folder).as_posix() not in known:
                file.unlink()
    if consumed:
        sync_file(folder)  # else a power cut could bring back a segment that nobody remembers
        catalogue.drop(consumed=consumed)


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Hold readers off while what they rely on changes."""
    with _shared_lock(folder, fcntl.LOCK_EX):
        yield


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Hold off changes while the log is read."""
    with _shared_lock(folder, fcntl.LOCK_SH):
        yield


@contextmanager
def _shared_lock(folder: Path, kind: int) -> Iterator[None]:
    file = os.open(folder / "reading.lock", os.O_CREAT | os.O_RDWR, 0o640)
    try:
        fcntl.flock(file, kind)
        yield
    finally:
        os.close(file)


def _next_batch(waiting: list[Segment], batch_bytes: int, held: ExitStack) -> list[Segment]:
    """Take segments off a list: those that nobody writes, at least one and up to a size."""
    batch: list[Segment] = []
    size = 0
    while waiting and (not batch or size + waiting[0].path.stat().st_size <= batch_bytes):
        segment = waiting.pop(0)
        if held.enter_context(segment.owned()):
            batch.append(segment)
            size += segment.path.stat().st_size
    return batch


def _replace(folder: Path, catalogue: Catalogue, batch: Sequence[Segment], found: Rows) -> int:
    """Put files in the place of segments; return how many rows they had."""
    if not batch:
        return 0
    files, superseded, rows = [], [], 0
    for part, table in found.tables().items():
        rows += len(table)
        small = [
            file
            for file in catalogue.files(part.table, part.model)
            if file.day == part.day and file.rows < _SMALL
        ]
        superseded += [file.path for file in small]
        files.append(_write(folder, part, small, table))
    for inner in _folders(folder, files):
        sync_file(inner)
    with changing(folder):
        catalogue.enter(files, superseded, [segment.name for segment in batch], found.losses)
    return rows


def _write(folder: Path, part: Part, small: Sequence[FileEntry], table: "pa.Table") -> FileEntry:
    import pyarrow as pa
    import pyarrow.compute as pc

    form = TABLES[part.table]
    table = _in_order(_with(folder, small, table, form), form.time)
    of_model = f"model={quote(part.model, safe='')}"
    path = Path(PARQUET, part.table, of_model, f"{part.day}-{secrets.token_hex(8)}.parquet")
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    write(table, folder / path)
    times = pc.min_max(table[form.time].cast(pa.int64()))
    written = pc.max(table[form.written].cast(pa.int64()))
    ids = pc.min_max(table[form.identity]) if form.identity else None
    return FileEntry(
        path=path.as_posix(),
        table=part.table,
        model=part.model,
        day=part.day,
        rows=len(table),
        first_time=times["min"].as_py(),
        last_time=times["max"].as_py(),
        last_written=written.as_py(),
        first_id=ids["min"].as_py() if ids else None,
        last_id=ids["max"].as_py() if ids else None,
    )


def _with(folder: Path, small: Sequence[FileEntry], table: "pa.Table", form: TableForm) -> "pa.Table":
    """Return the rows of files and those of a table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pieces = [pq.ParquetFile(folder / file.path).read() for file in small]
    if form is not PREDICTIONS:
        return pa.concat_tables([*pieces, table])
    return together([*(converted(piece) if is_old(piece.column_names) else piece for piece in pieces), table])


def _in_order(table: "pa.Table", time: str) -> "pa.Table":
    """Return rows by their time."""
    import numpy as np
    import pyarrow as pa

    times = table[time].cast(pa.int64()).to_numpy()
    return table if (np.diff(times) >= 0).all() else table.combine_chunks().sort_by(time)


def _folders(folder: Path, files: Collection[FileEntry]) -> list[Path]:
    """Return the folders whose entries name the files, the innermost first."""
    inner = {folder / file.path for file in files}
    found: set[Path] = set()
    for path in inner:
        found.update(parent for parent in path.parents if parent == folder or folder in parent.parents)
    return sorted(found, key=lambda path: -len(path.parts))
