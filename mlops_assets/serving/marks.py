"""Up to which release each model has come: what keeps an alias from being moved back by hand.

A gateway remembers it for itself, so that it holds after a restart, and takes from the audit chain what
happened while it was not there.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mlops_assets.errors import StorageError
from mlops_assets.home import write_atomically

log = logging.getLogger("mlops_assets.gateway")


@dataclass(frozen=True)
class Mark:
    """The version that served last by right, the serial of its release, and the release itself, signed."""

    version: str
    serial: int
    release: str


class Marks:
    """The marks of all models.

    Args:
        file: Where they are remembered; nowhere if None.
        entered: What the audit chain says, by model.
    """

    def __init__(self, file: Path | None = None, entered: Mapping[str, Mark] | None = None) -> None:
        self._file = file
        self._marks = _read(file) if file is not None else {}
        for model, mark in (entered or {}).items():
            if model not in self._marks or self._marks[model].serial < mark.serial:
                self._marks[model] = mark

    def of(self, model: str) -> Mark | None:
        """Return a model's mark, or None if it was never released."""
        return self._marks.get(model)

    def set(self, model: str, mark: Mark) -> None:
        """Remember how far a model has come."""
        if self._marks.get(model) == mark:
            return
        self._marks[model] = mark
        if self._file is None:
            return
        content = json.dumps({m: asdict(each) for m, each in self._marks.items()}, indent=1)
        try:
            write_atomically(self._file, content.encode())
        except StorageError as error:  # it still holds for as long as this gateway runs
            log.error("%s", error)


def _read(file: Path) -> dict[str, Mark]:
    try:
        found = json.loads(file.read_bytes())
        return {
            model: Mark(str(m["version"]), int(m["serial"]), str(m["release"])) for model, m in found.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.error("%s cannot be read and is begun anew: %s", file, error)
        return {}
