"""Which versions may serve: those that carry the release that holds.

What an alias names is only a wish. A version serves by a signed release, and by none that was followed by
another: who moves an alias back, or takes a release away, changes nothing but the problems that are shown.
"""

import logging
import math
import time
from collections.abc import Callable, Collection
from dataclasses import replace

from mlops_assets.errors import StorageError
from mlops_assets.governance.evidence import Objection
from mlops_assets.registry.port import RELEASE_TAG, ModelVersion, RegistryReader
from mlops_assets.registry.proof import Refused, carried_release, refused
from mlops_assets.serving.marks import Mark, Marks
from mlops_assets.serving.problems import Problem, told
from mlops_assets.serving.proving import Prover
from mlops_assets.serving.table import Resident

log = logging.getLogger("mlops_assets.gateway")

_CHAIN_RETRY_SECONDS = 60.0


class ReleaseFollower:
    """Holds loaded versions against their releases, and remembers what came of it.

    Args:
        prover: Holds a release against what it rests on.
        marks: Up to which release each model has come.
        on_proven: Told each version that was found to carry the release that holds, with the digests of the
            evidence that says so.
    """

    def __init__(
        self, prover: Prover, marks: Marks, on_proven: Callable[[ModelVersion, set[str]], None]
    ) -> None:
        self._prover, self._marks, self._on_proven = prover, marks, on_proven
        self._accepted: dict[str, str] = {}
        self._disputed: dict[tuple[str, str], Problem] = {}
        self._chain_unread_until = -math.inf

    @property
    def problems(self) -> list[Problem]:
        """Why versions that are loaded may not serve."""
        return list(self._disputed.values())

    @property
    def could_not_ask(self) -> bool:
        """Whether the registry was down when a version was to be held against its release."""
        return any(problem.kind == "registry_unreachable" for problem in self._disputed.values())

    def catch_up(self) -> None:
        """Take over which releases were entered in the audit chain, whatever the aliases say."""
        if time.monotonic() < self._chain_unread_until:
            return
        try:
            further = self._marks.catch_up()
        except StorageError as error:
            log.error("%s; only what was served here is known", error)
            self._chain_unread_until = time.monotonic() + _CHAIN_RETRY_SECONDS
            return
        for model in further:  # who may serve has to be asked again
            self._accepted.pop(model, None)
        self._disputed = {key: found for key, found in self._disputed.items() if key[0] not in further}

    def ask_again(self, gone: Collection[str] | None = None) -> None:
        """Have what is disputed asked again, as whatever was written may be the release that was missing.

        Args:
            gone: Models of which nothing is known any more, not even what was accepted; all if None.
        """
        self._disputed = {}
        self._accepted = {
            model: version
            for model, version in self._accepted.items()
            if gone is not None and model not in gone
        }

    def is_disputed(self, model: str, version: str) -> bool:
        """Return whether a version was found not to serve by right."""
        return (model, version) in self._disputed

    def may_serve(self, resident: Resident, registry: RegistryReader) -> bool:
        """Return whether a loaded version carries the release that holds; if not, that is a problem.

        Args:
            resident: The version.
            registry: What is asked for its release.
        """
        key = (resident.model, resident.version)
        # Only the last one accepted: an alias that comes back to an earlier one has to be asked again.
        if self._accepted.get(resident.model) == resident.version:
            return True
        if key in self._disputed:
            return False
        try:
            mark = self._release(resident, registry)
        except Refused as error:
            kinds = {objection.kind for objection in error.objections}
            kind = "out_of_band" if "out_of_band" in kinds else "evidence_refused"
            self._disputed[key] = Problem(kind, *key, told(error))
            return False
        except Exception as error:  # the registry is down: to be asked again when it is looked at again
            self._disputed[key] = Problem("registry_unreachable", *key, told(error))
            return False
        self._accepted[resident.model] = resident.version
        self._marks.set(resident.model, mark)
        return True

    def _release(self, resident: Resident, registry: RegistryReader) -> Mark:
        """Return how far the model has come with a version, if it may serve.

        Raises:
            Refused: It carries no release, or not the one that holds.
            RegistryError: The registry cannot be reached.
        """
        version = registry.version(resident.model, resident.version)
        if version is None:
            raise Refused(
                f"{resident.model} version {resident.version}",
                (Objection("out_of_band", "it is gone from the registry"),),
            )
        mark = self._marks.of(resident.model)
        if mark is not None and mark.version == version.version:
            version = self._with_release(version, mark)
        release = self._prover.release(registry, version, resident.package.digest, resident.evidence)
        if mark is not None and release.serial < mark.serial:
            said = (
                f"its alias was moved out of band: release {release.serial} of version {release.version} was "
                f"followed by release {mark.serial} of version {mark.version}"
            )
            raise refused(version, "out_of_band", said)
        self._on_proven(version, {resident.evidence.digest, release.evidence})
        return Mark(release.version, release.serial, version.tags[RELEASE_TAG], release.renews)

    def _with_release(self, version: ModelVersion, mark: Mark) -> ModelVersion:
        """Return the version that served last with its release: who takes the tag away takes nothing back."""
        carried = carried_release(version, self._prover.verifier)
        if carried is not None and carried.serial > mark.serial:
            return version
        return replace(version, tags={**version.tags, RELEASE_TAG: mark.release})
