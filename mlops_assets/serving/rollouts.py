"""Which rollouts the gateway follows: those whose signed record holds, and whose terms are good.

Whatever is wrong with a record, the champion answers everybody: who takes a record away, alters it, or puts
an older one back ends a rollout and cannot begin one.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from mlops_assets.governance.traffic import Traffic
from mlops_assets.registry.port import CHALLENGER, ModelVersion, RegisteredModel, RegistryReader
from mlops_assets.registry.proof import Refused, read_traffic
from mlops_assets.rollout.plan import Split
from mlops_assets.serving.marks import Mark, Marks
from mlops_assets.serving.problems import Problem, told
from mlops_assets.serving.proving import Prover
from mlops_assets.serving.table import LiveRollout, Resident
from mlops_assets.specs.durations import utc_now

log = logging.getLogger("mlops_assets.gateway")


@dataclass(frozen=True)
class _Carried:
    version: ModelVersion
    traffic: Traffic


class RolloutFollower:
    """Reads traffic records, and tells which of them hold.

    Args:
        registry: Where they are.
        prover: Holds what they rest on against its evidence.
        marks: Up to which record each model has come.
    """

    def __init__(self, registry: RegistryReader, prover: Prover, marks: Marks) -> None:
        self._registry, self._prover, self._marks = registry, prover, marks
        self._carried: dict[str, _Carried] = {}
        self._refused: dict[str, Problem] = {}
        self._live: dict[str, LiveRollout] = {}

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with the records there are."""
        return list(self._refused.values())

    def read(self, models: Mapping[str, RegisteredModel]) -> None:
        """Read the records of the challengers there are.

        Raises:
            RegistryError: The registry cannot be reached; what was read before holds on.
        """
        carried: dict[str, _Carried] = {}
        refused: dict[str, Problem] = {}
        for name, model in models.items():
            version = (
                self._registry.version(name, number) if (number := model.aliases.get(CHALLENGER)) else None
            )
            if version is None:
                continue
            try:
                traffic = read_traffic(version, self._prover.verifier)
            except Refused as error:
                refused[name] = Problem("traffic_refused", name, version.version, told(error))
                continue
            if traffic is not None:
                carried[name] = _Carried(version, traffic)
                self._marks.follow_traffic(name, traffic.serial)
        self._carried, self._refused = carried, refused

    def of(self, model: str, champion: str | None, loaded: Mapping[str, Resident]) -> LiveRollout | None:
        """Return the rollout of a model that is to be followed now, or None.

        Args:
            model: Model name.
            champion: The version that serves by right.
            loaded: Its loaded versions.
        """
        carried, mark = self._carried.get(model), self._marks.of(model)
        if carried is None or mark is None or not _holds(carried.traffic, champion, mark):
            self._live.pop(model, None)
            return None
        traffic, version = carried.traffic, carried.version
        challenger, live = loaded.get(version.version), self._live.get(model)
        if traffic.serial < mark.traffic:
            said = (
                f"its traffic record {traffic.serial} was followed by record {mark.traffic}: it was put back"
            )
            self._refuse(model, version, said)
            return None
        if challenger is None or model in self._refused:
            return None
        if live is not None and live.serial == traffic.serial and live.challenger is challenger:
            return live
        try:
            self._prover.traffic(
                self._registry, version, challenger.package.digest, challenger.evidence, traffic
            )
        except Exception as error:  # whatever is wrong, the champion serves
            self._refuse(model, version, told(error))
            return None
        live = LiveRollout(challenger, traffic.serial, traffic.percent, traffic.paired, Split(traffic.salt))
        self._live[model] = live
        log.info("%s: version %s at %s %%", model, version.version, traffic.percent)
        return live

    def _refuse(self, model: str, version: ModelVersion, said: str) -> None:
        self._live.pop(model, None)
        self._refused[model] = Problem("traffic_refused", model, version.version, said)


def _holds(traffic: Traffic, champion: str | None, mark: Mark) -> bool:
    """Return whether a record is about the version that serves, and nothing later overtook it."""
    same = traffic.champion == champion == mark.version
    return same and traffic.serial > mark.served_since and traffic.runs_at(utc_now())
