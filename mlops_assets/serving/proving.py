"""What the gateway asks of a version before it loads it, and again before it lets it serve."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from mlops_assets.errors import MlopsError
from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.release import Release
from mlops_assets.governance.signatures import Verifier
from mlops_assets.governance.traffic import Traffic
from mlops_assets.registry.port import ModelVersion, RegistryReader
from mlops_assets.registry.proof import (
    Refused,
    carried_release,
    require_evidence,
    require_good,
    require_release,
    require_terms,
)
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.policy_file import Policy

log = logging.getLogger("mlops_assets.gateway")


@dataclass(frozen=True)
class Prover:
    """Holds versions against their evidence, their release and today's policy.

    Args:
        verifier: The platform's public key.
        policy: Gives today's policy.
    """

    verifier: Verifier
    policy: Callable[[], Policy]

    def evidence(self, registry: RegistryReader, version: ModelVersion, candidate: str) -> Evidence:
        """Return the evidence that lets a version load: its newest, or else what it was released on.

        It can have newer evidence by now, on which it is not released yet; and whoever takes away the tag
        that names its evidence takes nothing back. See :func:`require_evidence`.
        """
        release = carried_release(version, self.verifier)
        try:
            return self._evidence(registry, version, candidate)
        except Refused:
            if release is None:
                raise
        return self._evidence(registry, version, candidate, release.evidence)

    def release(
        self, registry: RegistryReader, version: ModelVersion, candidate: str, evidence: Evidence
    ) -> Release:
        """Return the release that lets a version serve; see :func:`require_release`.

        Args:
            registry: Where other evidence is, if the version was released on other than it was loaded with.
            version: The version.
            candidate: Digest of the package that is loaded.
            evidence: The evidence it was loaded with; judged again, because days may have passed since.
        """
        release = carried_release(version, self.verifier)
        if release is not None and release.evidence != evidence.digest:
            evidence = self._evidence(registry, version, candidate, release.evidence)
        policy = self.policy()
        rules = policy.tiers[evidence.risk]
        require_good(evidence, version, candidate, self.verifier, rules, utc_now())
        return require_release(version, candidate, evidence, self.verifier, rules, policy.approvers)

    def traffic(
        self,
        registry: RegistryReader,
        version: ModelVersion,
        candidate: str,
        evidence: Evidence,
        traffic: Traffic,
    ) -> None:
        """Require that a challenger may answer callers as a traffic record says; see :func:`require_terms`.

        Args:
            registry: Where other evidence is, if the record rests on other than the version was loaded with.
            version: The challenger.
            candidate: Digest of the package that is loaded.
            evidence: The evidence it was loaded with.
            traffic: The record, its signature verified.

        Raises:
            Refused: Says every reason why not.
            RegistryError: The registry cannot be reached.
        """
        if traffic.terms.evidence != evidence.digest:
            evidence = self._evidence(registry, version, candidate, traffic.terms.evidence)
        policy = self.policy()
        rules = policy.tiers[evidence.risk]
        require_good(evidence, version, candidate, self.verifier, rules, utc_now())
        require_terms(traffic.terms, version, candidate, evidence, rules, policy.approvers, on_trial=True)

    def _evidence(
        self, registry: RegistryReader, version: ModelVersion, candidate: str, named: str | None = None
    ) -> Evidence:
        tiers, now = self.policy().tiers, utc_now()
        return require_evidence(
            registry, version, candidate, self.verifier, lambda e: tiers[e.risk], now, named
        )


def last_good(read: Callable[[], Policy]) -> Callable[[], Policy]:
    """Return a reader that, while the policy's file is broken or gone, goes on with what it last said.

    Without the project's own file the platform's would hold, which may ask for less. The file is gone for a
    moment, too, while git puts another one in its place; who means to do without it starts the gateway anew.

    Args:
        read: Reads the policy; asked once at first, so that a gateway does not start on a broken one.

    Raises:
        SpecError: It cannot be read at the start.
    """
    known = read()

    def current() -> Policy:
        nonlocal known
        try:
            found = read()
        except MlopsError as error:
            log.error("the policy cannot be read, the last one holds: %s", error)
            return known
        if found.file != known.file and not known.file.exists():
            log.error("the policy %s is gone, what it said last holds", known.file)
            return known
        known = found
        return known

    return current
