"""What a look at a rollout goes on from, kept between processes.

It is signed, because a rollout goes on or back on what follows from it, and each bound says of which units it
is. So what is there can make a look faster and nothing else; without it a look begins from scratch.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from mlops_assets.errors import EvidenceError, MlopsError
from mlops_assets.governance.signatures import Signer, Verifier
from mlops_assets.governance.statement import Sealed
from mlops_assets.governance.traffic import Traffic
from mlops_assets.home import write_atomically
from mlops_assets.rollout.running_bounds import Stand

log = logging.getLogger("mlops_assets.rollouts")


class _Bounds(Sealed):
    """How the bounds of a rollout stood at a look."""

    kind: ClassVar[str] = "bounds/1"

    model: str
    rollout: int
    stands: dict[str, Stand]


@dataclass(frozen=True)
class KeptBounds:
    """The bounds of all rollouts, of each model those of its last.

    Args:
        folder: Where they are.
        signer: Gives the platform key.
        verifier: Its public part.
    """

    folder: Path
    signer: Callable[[], Signer]
    verifier: Verifier

    def of(self, traffic: Traffic) -> Mapping[str, Stand]:
        """Return what was kept of a rollout; nothing if that is gone, damaged, altered, or of another one."""
        try:
            found = _Bounds.unsealed(self._file(traffic).read_bytes(), self.verifier)
        except FileNotFoundError:
            return {}
        except (EvidenceError, OSError) as error:
            log.warning("%s: the look begins from scratch: %s", self._file(traffic), error)
            return {}
        return found.stands if (found.model, found.rollout) == (traffic.model, traffic.rollout) else {}

    def keep(self, traffic: Traffic, stands: Mapping[str, Stand]) -> None:
        """Keep how the bounds of a rollout stand; where that fails, the next look takes longer."""
        bounds = _Bounds(model=traffic.model, rollout=traffic.rollout, stands=dict(stands))
        try:
            write_atomically(self._file(traffic), bounds.sealed(self.signer()).encode())
        except (MlopsError, OSError) as error:
            log.warning("%s: the next look begins from scratch: %s", self._file(traffic), error)

    def _file(self, traffic: Traffic) -> Path:
        return self.folder / f"{traffic.model}.json"
