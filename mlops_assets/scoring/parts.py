"""What is done so far, beside the output that is not there yet: a folder of whole chunks.

A part is there whole or not at all, and the plan says what all of them are parts of. So whoever is killed
loses the chunks that were underway, and whoever comes next goes on after the last whole one.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.digests import canonical_json
from mlops_assets.home import exclusive, replacing, storage_errors, write_atomically
from mlops_assets.scoring.forms import FormName

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Plan:
    """What is decided before the first part, so that all others are made alike.

    Attributes:
        job: Id of this scoring.
        about: What is scored by what; parts of anything else are no use.
        ids_from: The time in its prediction ids, microseconds since 1970.
        form: The form that predicts.
        why: Why that one.
    """

    job: str
    about: dict[str, Any]
    ids_from: int
    form: FormName
    why: str


class Parts:
    """The parts of one output; for whoever holds its lock.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._plan = folder / "plan.json"

    @classmethod
    @contextmanager
    def owned(cls, out: Path) -> "Iterator[Parts]":
        """Yield the parts of an output that nobody else works on.

        Raises:
            BusyError: Somebody does.
            StorageError: They cannot be written.
        """
        folder = out.with_name(f"{out.name}.partial")
        with exclusive(folder / "lock", f"{out} is being written"):
            yield cls(folder)

    def plan(self) -> Plan | None:
        """Return the plan of the parts that are there, or None."""
        try:
            return Plan(**json.loads(self._plan.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def begin(self, plan: Plan) -> None:
        """Remember what the parts to come are parts of."""
        write_atomically(self._plan, canonical_json(asdict(plan)))

    def count(self) -> int:
        """Return how many parts there are from the first on."""
        count = 0
        while self._part(count).exists():
            count += 1
        return count

    def save(self, number: int, part: "pa.Table") -> None:
        """Write a part.

        Raises:
            StorageError: It cannot be written.
        """
        import pyarrow.feather as feather

        file = self._part(number)
        with storage_errors(file), replacing(file) as temporary:
            feather.write_feather(part, str(temporary), compression="uncompressed")

    def read(self, number: int) -> "pa.Table":
        """Return a part."""
        import pyarrow.feather as feather

        return feather.read_table(self._part(number), memory_map=False)

    def forget(self) -> None:
        """Delete the plan and all parts, the plan first: parts without one are no use to anybody."""
        self._plan.unlink(missing_ok=True)
        for part in self.folder.glob("part-*"):
            part.unlink()

    def remove(self) -> None:
        """Delete everything."""
        self.forget()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _part(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.arrow"
