"""Up to which release each model has come: what keeps an alias from being moved back by hand.

A gateway remembers it for itself, so that it holds after a restart, and takes from the audit chain what
happened while it was not there, or was moved away again before it looked.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from mlops_assets.errors import EvidenceError, StorageError
from mlops_assets.governance.audit_entry import EMPTY
from mlops_assets.governance.audit_reading import AuditReader
from mlops_assets.governance.release import Release
from mlops_assets.governance.signatures import Verifier
from mlops_assets.home import write_atomically
from mlops_assets.registry.releases import latest_releases, latest_traffic

log = logging.getLogger("mlops_assets.gateway")

_Told = TypeVar("_Told")


@dataclass(frozen=True)
class Mark:
    """How far a model has come.

    Attributes:
        version: The version that served last by right.
        serial: Of its release.
        release: The release itself, signed.
        moved: Serial of the release by which it came to serve; that of its release if None.
        traffic: Serial of the last traffic record that was followed.
    """

    version: str
    serial: int
    release: str
    moved: int | None = None
    traffic: int = 0

    @property
    def served_since(self) -> int:
        """Serial of the release by which the version came to serve."""
        return self.serial if self.moved is None else self.moved


class Marks:
    """The marks of all models.

    Args:
        file: Where they are remembered; nowhere if None.
        entered: Tells what was entered in the audit chain since it was last asked, by model.
        tried: Tells the serials of the traffic records that were, likewise.
        verifier: The platform's public key, by which what is remembered has to be signed; anything is
            believed if None.
    """

    def __init__(
        self,
        file: Path | None = None,
        entered: Callable[[], Mapping[str, Mark]] = lambda: {},
        tried: Callable[[], Mapping[str, int]] = lambda: {},
        verifier: Verifier | None = None,
    ) -> None:
        self._file, self._entered, self._tried = file, entered, tried
        self._marks = _read(file, verifier) if file is not None else {}

    def of(self, model: str) -> Mark | None:
        """Return a model's mark, or None if it was never released."""
        return self._marks.get(model)

    def set(self, model: str, mark: Mark) -> None:
        """Remember how far a model has come."""
        known = self._marks.get(model)
        if known is not None and known.traffic > mark.traffic:
            mark = replace(mark, traffic=known.traffic)
        if known == mark:
            return
        self._marks[model] = mark
        if self._file is None:
            return
        content = json.dumps({m: asdict(each) for m, each in self._marks.items()}, indent=1)
        try:
            write_atomically(self._file, content.encode())
        except StorageError as error:  # it still holds for as long as this gateway runs
            log.error("%s", error)

    def follow_traffic(self, model: str, serial: int) -> None:
        """Remember which traffic record of a model was followed last."""
        if (mark := self._marks.get(model)) is not None and mark.traffic < serial:
            self.set(model, replace(mark, traffic=serial))

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
        for model, serial in self._tried().items():
            self.follow_traffic(model, serial)
        return further


def entered_in(audit: AuditReader, verifier: Verifier) -> Callable[[], Mapping[str, Mark]]:
    """Return what tells of the releases that were entered in an audit chain since it was last asked."""

    def entered(after: int) -> Mapping[str, Mark]:
        found = latest_releases(audit, verifier, after=after)
        return {
            model: Mark(signed.release.version, signed.release.serial, signed.text, signed.release.renews)
            for model, signed in found.items()
        }

    return _since_last_asked(audit, entered)


def tried_in(audit: AuditReader, verifier: Verifier) -> Callable[[], Mapping[str, int]]:
    """Return what tells the serials of the traffic records that were entered in an audit chain, likewise."""

    def tried(after: int) -> Mapping[str, int]:
        found = latest_traffic(audit, verifier, after=after)
        return {model: traffic.serial for model, traffic in found.items()}

    return _since_last_asked(audit, tried)


def _since_last_asked(
    audit: AuditReader, read: Callable[[int], Mapping[str, _Told]]
) -> Callable[[], Mapping[str, _Told]]:
    """Return what reads a chain's entries after those it has read; nothing if there are none."""
    seen = EMPTY

    def further() -> Mapping[str, _Told]:
        nonlocal seen
        head, before = audit.head(), seen
        if head == before:
            return {}
        # A chain that was put back to an earlier time, or altered, is read anew.
        known = before.length if audit.has(before) else 0
        told = read(known)
        seen = head  # not before: what could not be read is read when this is asked again
        return told

    return further


def _read(file: Path, verifier: Verifier | None) -> dict[str, Mark]:
    try:
        found = json.loads(file.read_bytes())
        marks = {
            model: Mark(
                str(m["version"]),
                int(m["serial"]),
                str(m["release"]),
                None if m.get("moved") is None else int(m["moved"]),
                int(m.get("traffic", 0)),
            )
            for model, m in found.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.error("%s cannot be read and is begun anew: %s", file, error)
        return {}
    signed = {model: _signed(model, mark, verifier) if verifier else mark for model, mark in marks.items()}
    for model in (model for model, mark in signed.items() if mark is None):
        log.error("%s: what it says of %s was not signed by the platform, and is forgotten", file, model)
    return {model: mark for model, mark in signed.items() if mark is not None}


def _signed(model: str, mark: Mark, verifier: Verifier) -> Mark | None:
    """Return a mark as its release says, if the platform signed that: who writes to the file says nothing.

    The serial of a traffic record stands by itself. One that is too great ends rollouts, and opens nothing.
    """
    try:
        release = Release.unsealed(mark.release, verifier)
    except EvidenceError:
        return None
    if release.model != model:
        return None
    return Mark(release.version, release.serial, mark.release, release.renews, mark.traffic)
