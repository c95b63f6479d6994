"""The version that may answer, proven and loaded as the gateway does, for whoever serves without one."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mlops_assets.digests import of_json
from mlops_assets.errors import RegistryError, did_you_mean
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.release import Release
from mlops_assets.governance.signatures import Verifier
from mlops_assets.registry.port import CHAMPION, RELEASE_TAG, ModelVersion, Registry
from mlops_assets.registry.proof import carried_release
from mlops_assets.registry.releases import latest_releases
from mlops_assets.serving.loading import load
from mlops_assets.serving.proving import Prover
from mlops_assets.serving.table import Resident
from mlops_assets.specs.policy_file import Policy


@dataclass(frozen=True)
class Proven:
    """A version that was proven and is loaded.

    Attributes:
        resident: The version, its package and its evidence.
        release: What lets it serve.
    """

    resident: Resident
    release: Release

    @property
    def named(self) -> dict[str, str]:
        """What an audit entry says of the version and of what speaks for it."""
        return {
            "evidence": self.resident.evidence.digest,
            "version": self.resident.version,
            "candidate": self.resident.package.digest,
            "release_digest": of_json(self.release.plain()),
        }


@dataclass(frozen=True)
class ProvenVersions:
    """Proves and loads versions.

    Args:
        registry: Where versions are.
        verifier: The platform's public key.
        audit: Where every release was entered.
        policy: Gives today's policy.
        folder: A private folder for packages, which are read from there as long as they are used.
    """

    registry: Registry
    verifier: Verifier
    audit: AuditChain
    policy: Callable[[], Policy]
    folder: Path

    def load(self, model: str, version: str | None = None) -> Proven:
        """Return a version: the champion by right, whatever the alias says, unless one is named.

        Both need evidence and a release, which today's policy has to accept. One that was only registered is
        for the platform's own trials: people may not have consented to it yet.

        Raises:
            PackageError: It is not what it should be, or predicts otherwise than where it was trained.
            Refused: Its evidence or release does not let it serve.
            RegistryError: There is no such version, or the registry cannot be reached.
        """
        prover = Prover(self.verifier, self.policy)
        wanted = self._champion(model) if version is None else self._named(model, version)
        if not wanted.tags.get(RELEASE_TAG):
            raise RegistryError(f"{model} version {wanted.version} was never released; promote it first")
        resident = load(self.registry, prover, model, wanted.version, folder=self.folder)
        release = prover.release(self.registry, wanted, resident.package.digest, resident.evidence)
        return Proven(resident, release)

    def _champion(self, model: str) -> ModelVersion:
        """Return the version that the release that holds is for, with that release."""
        entered = latest_releases(self.audit, self.verifier, model).get(model)
        named = self.registry.by_alias(model, CHAMPION)
        carried = carried_release(named, self.verifier) if named else None
        if named and carried and (entered is None or carried.serial > entered.release.serial):
            return named  # its promotion was killed before it was entered
        if entered is None:
            if named is not None:
                said = f"version {named.version} was never released; its alias was moved out of band"
                raise RegistryError(f"{model} has no champion: {said}")
            known = self.registry.models()
            raise RegistryError(
                f"{model} has no champion yet; run its lifecycle first"
                if model in known
                else f"no model {model!r} is registered{did_you_mean(model, known)}"
            )
        found = self._named(model, entered.release.version)
        return replace(found, tags={**found.tags, RELEASE_TAG: entered.text})

    def _named(self, model: str, version: str) -> ModelVersion:
        found = self.registry.version(model, version)
        if found is None:
            known = ", ".join(each.version for each in self.registry.versions(model))
            raise RegistryError(f"{model} has no version {version}; it has {known or 'none'}")
        return found
