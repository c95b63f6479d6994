"""Up to which release each model has come: what keeps an alias from being moved back by hand.

A gateway remembers it for itself, so that it holds after a restart, and takes from the audit chain what
happened while it was not there, or was moved away again before it looked.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mlops_assets.errors import StorageError
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.audit_entry import EMPTY
from mlops_assets.governance.signatures import Verifier
from mlops_assets.home import write_atomically
from mlops_assets.registry.releases import latest_releases

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
        entered: Tells what was entered in the audit chain since it was last asked, by model.
    """

    def __init__(
        self, file: Path | None = None, entered: Callable[[], Mapping[str, Mark]] = lambda: {}
    ) -> None:
        self._file, self._entered = file, entered
        self._marks = _read(file) if file is not None else {}

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

    def catch_up(self) -> list[str]:
        """Take over what was entered in the audit chain; return the models that have come further by it.

        Raises:
            StorageError: The audit chain cannot be read.
        """
        entered = self._entered()
        further = [
            model
            for model, mark in entered.items()
            if model not in self._marks or self._marks[model].serial < mark.serial
        ]
        for model in further:
            self.set(model, entered[model])
        return further


def entered_in(audit: AuditChain, verifier: Verifier) -> Callable[[], Mapping[str, Mark]]:
    """Return what tells of the releases that were entered in an audit chain since it was last asked."""
    read = EMPTY

    def entered() -> Mapping[str, Mark]:
        nonlocal read
        head = audit.head()
        if head == read:
            return {}
        # A chain that was put back to an earlier time, or altered, is read anew.
        after = read.length if audit.has(read) else 0
        found = latest_releases(audit, verifier, after=after)
        read = head
        return {
            model: Mark(signed.release.version, signed.release.serial, signed.text)
            for model, signed in found.items()
        }

    return entered


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
