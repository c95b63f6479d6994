"""What the gateway asks of a version before it loads it, and again before it lets it serve."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from mlops_assets.errors import MlopsError
from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.release import Release
from mlops_assets.governance.signatures import Verifier
from mlops_assets.registry.port import ModelVersion, Registry
from mlops_assets.registry.proof import evidence_of_release, require_evidence, require_release
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

    def evidence(self, registry: Registry, version: ModelVersion, candidate: str) -> Evidence:
        """Return the evidence that lets a version load; see :func:`require_evidence`."""
        policy = self.policy()
        released_on = evidence_of_release(version, self.verifier)
        return require_evidence(
            registry,
            version,
            candidate,
            self.verifier,
            lambda e: policy.tiers[e.risk],
            utc_now(),
            released_on,
        )

    def release(
        self, registry: Registry, version: ModelVersion, candidate: str, evidence: Evidence
    ) -> Release:
        """Return the release that lets a version serve; see :func:`require_release`.

        Args:
            registry: Where other evidence is, if the version was released anew since it was loaded.
            version: The version.
            candidate: Digest of the package that is loaded.
            evidence: The evidence it was loaded with.
        """
        if evidence_of_release(version, self.verifier) not in (None, evidence.digest):
            evidence = self.evidence(registry, version, candidate)
        policy = self.policy()
        rules = policy.tiers[evidence.risk]
        return require_release(version, candidate, evidence, self.verifier, rules, policy.approvers)


def last_good(read: Callable[[], Policy]) -> Callable[[], Policy]:
    """Return a reader that, while the policy's file is broken, goes on with what it last said.

    Args:
        read: Reads the policy; asked once at first, so that a gateway does not start on a broken one.

    Raises:
        SpecError: It cannot be read at the start.
    """
    known = read()

    def current() -> Policy:
        nonlocal known
        try:
            known = read()
        except MlopsError as error:
            log.error("the policy cannot be read, the last one holds: %s", error)
        return known

    return current
