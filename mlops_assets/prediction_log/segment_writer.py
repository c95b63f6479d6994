"""Append records so that what was confirmed survives the writer's death, and soon also a power cut."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mlops_assets.errors import StorageError
from mlops_assets.home import storage_failure
from mlops_assets.prediction_log.open_segment import OpenSegment
from mlops_assets.prediction_log.segments import settle_abandoned

# Compaction takes that much at a time, and needs up to ten times as much memory.
MOST_BYTES = 16 * 2**20
_SYNC_SECONDS = 0.1
_OLDEST_SECONDS = 300.0
_PATIENCE_SECONDS = 5.0
_CLOSING_SECONDS = 10.0
# A disk that was full counts as usable again from so much room on.
_ROOM_BYTES = 2**18

log = logging.getLogger("mlops_assets.prediction_log")


class SegmentWriter:
    """Writes one segment after the other; safe to share between threads.

    An append is one ``write``: whole or not at all, and in the kernel's hands when it returns, so that a
    kill of this process loses nothing. A thread has the disk take it, at most 100 ms and one sync later.
    Not to be used across a fork.

    Args:
        folder: The log's folder; made if there is none.
        worker: Names this writer in its segments' names.
        most_bytes: A segment that would grow beyond is followed by a new one.
        oldest_seconds: So is one that is older, for compaction to reach what is in it.
        patience_seconds: A sync that takes longer is a :attr:`problem`.
        sync: Makes a file's content durable.

    Raises:
        StorageError: The folder cannot be written to.
    """

    def __init__(
        self,
        folder: Path,
        worker: str,
        *,
        most_bytes: int = MOST_BYTES,
        oldest_seconds: float = _OLDEST_SECONDS,
        patience_seconds: float = _PATIENCE_SECONDS,
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        self._folder, self._worker, self._to_disk = folder, worker, sync
        self._most_bytes, self._oldest, self._patience = most_bytes, oldest_seconds, patience_seconds
        # Appends wait for the first only, which nobody holds while the disk is waited for.
        self._lock, self._syncing = threading.Lock(), threading.Lock()
        self._dirty, self._stopping = threading.Event(), threading.Event()
        self._opening: list[bytes] = []
        self._finished: list[OpenSegment] = []
        self._write_problem: str | None = None
        self._sync_problem: str | None = None
        self._sync_began: float | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            settle_abandoned(folder)
            self._segment = OpenSegment(folder, worker, ())
        except OSError as error:
            raise StorageError(self._told(error)) from error
        self._thread = threading.Thread(target=self._keep_syncing, name="prediction log", daemon=True)
        self._thread.start()

    def append(self, payloads: Sequence[bytes]) -> None:
        """Write records together; they are all there when this returns, or none is.

        Raises:
            StorageError: They cannot be written.
        """
        with self._lock:
            self._append(payloads)
        if not self._dirty.is_set():
            self._dirty.set()

    def open_with(self, payload: bytes) -> None:
        """Write a record now and at the beginning of each later segment, for those that refer to it.

        Raises:
            StorageError: It cannot be written; it will not stand in later segments either.
        """
        with self._lock:
            self._append([payload])
            self._opening.append(payload)

    @property
    def problem(self) -> str | None:
        """Why nothing should rely on this log now, or None; tells at once, whatever the disk does."""
        if problem := self._write_problem or self._sync_problem:
            return problem
        if self._stopping.is_set():
            return f"the prediction log {self._folder} is closed"
        began = self._sync_began
        if began is not None and (waited := time.monotonic() - began) > self._patience:
            return f"prediction log {self._folder}: the disk has not answered for {waited:.0f} s"
        if not self._thread.is_alive():
            return f"prediction log {self._folder}: nothing makes it durable any more; restart the gateway"
        return None

    def sync(self) -> None:
        """Have the disk take all that was written, and see whether what failed works again.

        The writer's own thread calls it all the time; others do to wait for the disk.
        """
        with self._syncing:
            with self._lock:
                if self._stopping.is_set():
                    return  # close() does the rest
                self._look_after_segment()
                finished, self._finished = self._finished, []
                current = self._segment
            for segment in finished:
                self._sync(segment)
                segment.close()
            if self._sync(current):
                self._sync_problem = None

    def close(self) -> None:
        """End the segment and wait for the disk, unless it hangs; nothing can be written afterwards."""
        with self._lock:
            if self._stopping.is_set():
                return
            self._stopping.set()
        self._dirty.set()
        self._thread.join(_CLOSING_SECONDS)
        if self._thread.is_alive():
            return
        self._segment.end()
        for segment in (*self._finished, self._segment):
            self._sync(segment)
            segment.close()

    def _append(self, payloads: Sequence[bytes]) -> None:
        if self._stopping.is_set():
            raise StorageError(f"the prediction log {self._folder} is closed")
        full = self._segment.size + sum(map(len, payloads)) > self._most_bytes and self._segment.size > 0
        if full or not self._segment.sound:
            self._go_on()
            if not self._segment.sound:
                raise StorageError(self._write_problem or f"{self._folder} has no usable segment")
        try:
            self._segment.write(payloads)
        except OSError as error:
            self._write_problem = self._told(error)
            self._dirty.set()
            raise StorageError(self._write_problem) from error

    def _go_on(self) -> None:
        """Begin another segment; where none can be made, the one there is has to do."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            following = OpenSegment(self._folder, self._worker, self._opening)
        except OSError as error:
            if not self._segment.sound:
                self._write_problem = self._told(error)
            return
        self._segment.end()
        self._finished.append(self._segment)
        self._segment = following

    def _look_after_segment(self) -> None:
        if self._write_problem:
            try:
                self._segment.look_for_room(_ROOM_BYTES)
                self._write_problem = None
            except OSError as error:
                self._write_problem = self._told(error)
        if not self._segment.usable:
            log.error("prediction log: segment %s was damaged or removed while in use", self._segment.name)
            self._go_on()
        elif self._segment.size and self._segment.age > self._oldest:
            self._go_on()

    def _sync(self, segment: OpenSegment) -> bool:
        """Have the disk take one segment; return whether it did."""
        self._sync_began = time.monotonic()
        try:
            self._to_disk(segment.file)
        except OSError as error:
            # The kernel forgets what it could not write, and a second try would succeed for nothing.
            log.error("prediction log: part of segment %s may not be on disk: %s", segment.name, error)
            self._sync_problem = self._told(error)
            segment.sound = False
            return False
        finally:
            self._sync_began = None
        return True

    def _keep_syncing(self) -> None:
        while not self._stopping.is_set():
            self._dirty.wait(self._oldest)
            self._dirty.clear()
            self.sync()
            if self._write_problem or self._sync_problem:
                self._dirty.set()  # to see when it is over
            self._stopping.wait(_SYNC_SECONDS)

    def _told(self, error: OSError) -> str:
        return f"cannot write the prediction log {self._folder}: {storage_failure(error) or error.strerror}"
