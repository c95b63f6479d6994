"""What is on record about rollouts: which runs, by which steps it came so far, and on what it rests."""

from dataclasses import dataclass, field

from mlops_assets.errors import RolloutError
from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.traffic import Traffic
from mlops_assets.registry.authority import Authority
from mlops_assets.registry.port import CHALLENGER, ModelVersion
from mlops_assets.registry.proof import carried_traffic, read_evidence
from mlops_assets.registry.releases import ROLLOUT, latest_traffic, traffic_in


@dataclass(frozen=True)
class RolloutRecords:
    """The records of all models' rollouts.

    Args:
        authority: Knows registry, audit chain and keys.
    """

    authority: Authority
    # Each look asks for the same again; the digest names what it says, and another tick reads anew.
    _read: dict[str, Evidence] = field(default_factory=dict, init=False, repr=False, compare=False)

    def running(self, model: str) -> Traffic | None:
        """Return the record that holds for a model's rollout, or None if none runs."""
        found = self.latest(model)
        if found is None or found.state == "ended":
            return None
        release = self.authority.release(model)
        overtaken = release is None or release.moved > found.serial or release.version != found.champion
        return None if overtaken else found

    def latest(self, model: str) -> Traffic | None:
        """Return a model's latest traffic record, be it entered in the audit chain yet or not."""
        authority = self.authority
        entered = latest_traffic(authority.audit, authority.verifier, model).get(model)
        named = authority.registry.by_alias(model, CHALLENGER)
        carried = carried_traffic(named, authority.verifier) if named else None
        known = [traffic for traffic in (entered, carried) if traffic is not None]
        return max(known, key=lambda traffic: traffic.serial, default=None)

    def models(self) -> list[str]:
        """Return the models whose rollout may run, by two queries however many models there are."""
        authority = self.authority
        entered = latest_traffic(authority.audit, authority.verifier)
        open_ones = {model for model, traffic in entered.items() if traffic.state != "ended"}
        tried = {name for name, m in authority.registry.models().items() if CHALLENGER in m.aliases}
        return sorted(open_ones | tried)

    def records(self, traffic: Traffic) -> list[Traffic]:
        """Return all records of a rollout, oldest first; the given one too if it is not entered yet."""
        authority = self.authority
        entries = authority.audit.newest_first((ROLLOUT,), traffic.model)
        found = (traffic_in(entry, authority.verifier) for entry in entries)
        entered = {each.serial: each for each in found if each and each.rollout == traffic.rollout}
        known = {**entered, traffic.serial: traffic}
        return [known[serial] for serial in sorted(known)]

    def evidence(self, traffic: Traffic) -> Evidence:
        """Return the evidence that a rollout rests on.

        Raises:
            Refused: It is gone or not signed.
            RegistryError: The registry cannot be reached.
        """
        authority, named = self.authority, traffic.terms.evidence
        if named not in self._read:
            version = self.version(traffic)
            self._read[named] = read_evidence(authority.registry, version, authority.verifier, named)
        return self._read[named]

    def rejection(self, traffic: Traffic) -> str | None:
        """Return who has rejected a challenger since its rollout began, or None.

        Raises:
            RegistryError: The registry cannot be reached.
        """
        version, evidence = self.version(traffic), self.evidence(traffic)
        state = self.authority.decisions.state(version, evidence, evidence.rules)
        return state.summary if state.rejected else None

    def registered(self, traffic: Traffic) -> ModelVersion | None:
        """Return the challenger as it is registered, or None if it is gone.

        Raises:
            RegistryError: The registry cannot be reached.
        """
        return self.authority.registry.version(traffic.model, traffic.challenger)

    def version(self, traffic: Traffic) -> ModelVersion:
        """Return the challenger as it is registered.

        Raises:
            RolloutError: It is gone from the registry.
            RegistryError: The registry cannot be reached.
        """
        found = self.registered(traffic)
        if found is None:
            raise RolloutError(f"{traffic.model} version {traffic.challenger} is gone from the registry")
        return found
