"""One number that several processes see at once: which generation of the routes holds."""

import mmap
import os
import tempfile

_BYTES = 8


class SharedGeneration:
    """A counter in shared memory. One process sets it; to read it takes no call of the system and no lock.

    Args:
        file: Descriptor of the file that holds it, as :meth:`made` opened it, here or in a parent process.

    Attributes:
        file: That descriptor.
    """

    def __init__(self, file: int) -> None:
        self.file = file
        # Aligned, and as wide as a register: whoever reads it meets the old number or the new one.
        self._number = memoryview(mmap.mmap(file, _BYTES)).cast("Q")

    @classmethod
    def made(cls) -> "SharedGeneration":
        """Return a new one, at 0."""
        with tempfile.TemporaryFile() as backing:
            backing.truncate(_BYTES)
            return cls(os.dup(backing.fileno()))

    @property
    def now(self) -> int:
        """The generation that holds."""
        return self._number[0]

    @now.setter
    def now(self, generation: int) -> None:
        self._number[0] = generation
