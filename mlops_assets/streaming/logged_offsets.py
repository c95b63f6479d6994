"""Up to where messages may be in the prediction log already: who logs a message must be the only one.

A message comes again after a kill, or where two consumers believe that a partition is theirs. To look into
the log for every message would cost more than all the rest. So before messages are logged, it is noted down
on disk up to which offset that is done, and only what lies before what was noted has to be looked for.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from mlops_assets.digests import of_json
from mlops_assets.errors import StorageError
from mlops_assets.home import storage_errors
from mlops_assets.streaming.stream import Message

_DIGITS = 20


@dataclass(frozen=True)
class LoggedOffsets:
    """The notes for one model.

    Args:
        folder: Where they are.
        model: Model name.
    """

    folder: Path
    model: str

    @contextmanager
    def claimed(self, messages: Sequence[Message]) -> Iterator[list[Message]]:
        """Hold the partitions of some messages while these are logged, after waiting for others who do.

        Yields:
            Those of them that may be in the log.

        Raises:
            StorageError: It cannot be noted down.
        """
        ordered = sorted(messages, key=lambda each: each[:3])
        maybe: list[Message] = []
        with ExitStack() as held:
            for place, group in groupby(ordered, key=lambda each: each[:2]):
                together = list(group)
                file = self.folder / f"{of_json([self.model, *place])}.offset"
                noted = held.enter_context(_noted(file, together[-1].offset + 1))
                maybe += [each for each in together if each.offset < noted]
            yield maybe


@contextmanager
def _noted(path: Path, offset: int) -> Iterator[int]:
    """Hold a note and have it say at least some offset; yield what it said before."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = os.pread(file, _DIGITS, 0).decode(errors="replace")
        if text and not (len(text) == _DIGITS and text.isdecimal()):
            raise StorageError(f"{path} is damaged; delete it while no consumer runs")
        before = int(text or 0)
        if offset > before:
            with storage_errors(path):
                os.pwrite(file, f"{offset:0{_DIGITS}}".encode(), 0)
                os.fdatasync(file)
        yield before
    finally:
        os.close(file)
