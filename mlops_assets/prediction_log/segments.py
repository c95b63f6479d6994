"""Segments: files that one writer each appends to, and that are nobody's any more once it is gone.

A segment is open as long as its writer holds the file's lock, which the kernel releases however the
writer ends. Nobody ever appends to a segment of another, so a torn end needs no repair: readers stop at
the last whole frame.
"""

import fcntl
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.prediction_log.frames import Frame, Gap, frames
from mlops_assets.prediction_log.records import Record, decode

_NAME = re.compile(r"[0-9a-f]{14}\.[\w-]+\.([0-9a-f]{8})\.segment")


@dataclass(frozen=True)
class Loss:
    """Part of a segment that cannot be read.

    Attributes:
        segment: File name of the segment.
        offset: Where it begins.
        length: How many bytes.
        reason: What is wrong with it.
    """

    segment: str
    offset: int
    length: int
    reason: str


@dataclass(frozen=True, order=True)
class Segment:
    """One segment file; they sort by the time at which they were begun."""

    path: Path

    @property
    def name(self) -> str:
        """File name: the time, the worker and the mark of the frames."""
        return self.path.name

    @property
    def begun(self) -> int:
        """When it was begun, microseconds since 1970."""
        return int(self.name.partition(".")[0], 16)

    @property
    def mark(self) -> bytes:
        """What each frame begins with."""
        match = _NAME.fullmatch(self.name)
        assert match is not None
        return bytes.fromhex(match[1])

    def records(self) -> Iterator[tuple[Record, Frame] | Loss]:
        """Yield the record of each whole frame, with the frame, and what is lost between them."""
        for found in frames(self.path.read_bytes(), self.mark):
            if isinstance(found, Gap):
                if not found.tail:
                    yield Loss(self.name, found.offset, found.length, "damaged")
                continue
            try:
                record = decode(found.payload)
            except ValueError as error:
                yield self.loss(found, f"no record that is known: {error}")
            else:
                yield record, found

    def loss(self, frame: Frame, reason: str) -> Loss:
        """Return a loss of what a frame holds."""
        return Loss(self.name, frame.offset, len(frame.payload), reason)

    @contextmanager
    def owned(self) -> Iterator[bool]:
        """Hold the segment if its writer is gone; yield whether that is so."""
        try:
            file = os.open(self.path, os.O_RDWR)
        except FileNotFoundError:
            yield False
            return
        try:
            yield _locked(file)
        finally:
            os.close(file)


def segments_in(folder: Path) -> list[Segment]:
    """Return the segments of a folder, the oldest first; none if there is no folder."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return [Segment(folder / name) for name in sorted(names) if _NAME.fullmatch(name)]


def begin_segment(folder: Path, worker: str) -> tuple[Segment, int]:
    """Make a new segment that is held by whoever has it open.

    Args:
        folder: The log's folder.
        worker: Who writes it, for people who look into the folder.

    Returns:
        The segment, and its file descriptor for appending.

    Raises:
        OSError: The folder cannot be written to.
    """
    who = re.sub(r"[^\w-]", "_", worker) or "_"
    while True:
        name = f"{time.time_ns() // 1000:014x}.{who}.{secrets.token_hex(4)}.segment"
        segment = Segment(folder / name)
        file = os.open(segment.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o640)
        # Before it was locked, a compaction may have taken it for one that was left behind.
        if _locked(file) and os.fstat(file).st_nlink:
            return segment, file
        os.close(file)


def settle_abandoned(folder: Path) -> None:
    """Have the disk take what writers that were killed could not wait for."""
    for segment in segments_in(folder):
        with segment.owned() as abandoned:
            if abandoned:
                sync_file(segment.path)


def sync_file(path: Path) -> None:
    """Return when a file's content, or a folder's entries, are on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
