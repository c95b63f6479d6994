"""The segment that is being written: each write is whole or not there."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mlops_assets.prediction_log.frames import framed
from mlops_assets.prediction_log.records import End, encode
from mlops_assets.prediction_log.segments import begin_segment


class OpenSegment:
    """A new segment, held until it is closed; not safe to share between threads.

    Args:
        folder: The log's folder.
        worker: Who writes.
        opening: Records that it begins with.

    Attributes:
        file: Its descriptor.
        sound: Whether more can be appended: it ends with a whole frame, and no sync of it failed.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, folder: Path, worker: str, opening: Sequence[bytes]) -> None:
        self._segment, self.file = begin_segment(folder, worker)
        self._mark = self._segment.mark
        self._began = time.monotonic()
        self._size = 0
        self._opening = 0
        self.sound = True
        try:
            self.write(opening)
        except OSError:
            self.close()
            self._segment.path.unlink(missing_ok=True)
            raise
        self._opening = self._size

    @property
    def name(self) -> str:
        """File name."""
        return self._segment.name

    @property
    def age(self) -> float:
        """Seconds since it was begun."""
        return time.monotonic() - self._began

    @property
    def size(self) -> int:
        """Bytes in it, those of its opening left out."""
        return self._size - self._opening

    @property
    def usable(self) -> bool:
        """Whether to go on with it: it is sound, and where others look for it."""
        return self.sound and os.fstat(self.file).st_nlink > 0

    def write(self, payloads: Sequence[bytes]) -> None:
        """Append records, all or none.

        Raises:
            OSError: The disk is full, or fails.
        """
        content = b"".join([framed(self._mark, payload) for payload in payloads])
        written = 0
        try:
            # A write ends early where the disk is full, and the next one tells.
            while written < len(content):
                written += os.write(self.file, content[written:] if written else content)
        except OSError:
            self._take_back()
            raise
        self._size += written

    def look_for_room(self, size: int) -> None:
        """Find out whether so many bytes could be written.

        Raises:
            OSError: They could not.
        """
        try:
            os.posix_fallocate(self.file, self._size, size)
        finally:
            self._take_back()

    def end(self) -> None:
        """Write that the segment ends here, if that can be written."""
        with suppress(OSError):
            self.write([encode(End())])

    def close(self) -> None:
        """Let go of it: from now on it is compaction's."""
        os.close(self.file)

    def _take_back(self) -> None:
        """Cut off half a frame, so that whole ones never follow it."""
        try:
            os.ftruncate(self.file, self._size)
        except OSError:
            self.sound = False
