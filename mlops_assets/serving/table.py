"""What serves, at one moment: an immutable table that a request reads once.

Whoever holds a table holds one state of the world: a version swapped in meanwhile answers the next
request, never half of this one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Protocol

from mlops_assets.errors import did_you_mean
from mlops_assets.governance.evidence import Evidence
from mlops_assets.prediction_log.sensitive import Treatment
from mlops_assets.registry.port import CHAMPION, DRILL, PREVIOUS_CHAMPION
from mlops_assets.rollout.plan import Split
from mlops_assets.serving.discretion import treatments_of
from mlops_assets.serving.frames import FrameReader
from mlops_assets.serving.matrices import MatrixReader
from mlops_assets.serving.plausibility import Plausibility
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.usual_requests import Reader
from mlops_assets.training.package import PackagedModel


@dataclass(frozen=True, eq=False)
class Resident:
    """A version that was proven and is loaded.

    Attributes:
        model: Model name.
        version: Version number.
        package: What predicts.
        evidence: What speaks for it.
    """

    model: str
    version: str
    package: PackagedModel
    evidence: Evidence

    @cached_property
    def reader(self) -> Reader:
        """What reads usual requests."""
        manifest = self.package.manifest
        return MatrixReader(manifest) if manifest.takes_numbers else FrameReader(manifest)

    @cached_property
    def is_quick(self) -> bool:
        """Whether a few rows take it less time than a thread's turn takes."""
        return self.package.uses_onnx and self.package.manifest.takes_numbers

    @cached_property
    def plausibility(self) -> Plausibility:
        """What was unlikely in its requests."""
        return Plausibility(self.package.manifest)

    @cached_property
    def treatments(self) -> Mapping[str, Treatment]:
        """What becomes of columns in the prediction log that are not kept as they are."""
        return treatments_of(self.package.manifest)

    @property
    def memory(self) -> int | None:
        """Bytes of memory that it takes; None while it is not in memory, or where that was not measured."""
        return self.package.memory if self.package.is_warm else None

    @cached_property
    def takes(self) -> str:
        """How requests are read for it: what was read for a version with the same is right for this one."""
        manifest = self.package.manifest
        # Text, because it is compared at each request.
        return repr((manifest.inputs, manifest.time_column, manifest.entity, manifest.takes_numbers))


@dataclass(frozen=True, eq=False)
class LiveRollout:
    """A rollout as the gateway follows it.

    Attributes:
        challenger: The version that is tried.
        serial: Of the traffic record that holds.
        percent: Share of the entities that the challenger answers.
        paired: Whether the arm that does not answer is asked too, unseen.
        split: Who is answered by which.
    """

    challenger: Resident
    serial: int
    percent: int
    paired: bool
    split: Split

    def is_challengers(self, key: str) -> bool:
        """Return whether the challenger answers an entity."""
        return self.percent > 0 and (self.percent == 100 or self.split.is_challengers(key, self.percent))

    def takes_same_as(self, champion: Resident) -> bool:
        """Return whether requests that were read for the champion are right for the challenger."""
        return self.challenger.takes == champion.takes


def are_quick(champion: Resident, rollout: LiveRollout | None) -> bool:
    """Return whether requests to a champion can be answered quickly, whoever does."""
    return champion.is_quick and (rollout is None or rollout.challenger.is_quick)


def are_warm(champion: Resident, rollout: LiveRollout | None) -> bool:
    """Return whether all that may answer requests to a champion are in memory."""
    return champion.package.is_warm and (rollout is None or rollout.challenger.package.is_warm)


@dataclass(frozen=True)
class Route:
    """One model's versions.

    Attributes:
        champion: The version that answers; None until a first one was proven and loaded.
        wanted: Version by alias, as the registry says. Its champion differs from the one that answers
            while it loads, and for as long as it is refused.
        loaded: Every loaded version.
        rollout: How the traffic is split; None if the champion answers alone.
    """

    champion: str | None
    wanted: Mapping[str, str]
    loaded: Mapping[str, Resident]
    rollout: LiveRollout | None = None

    @property
    def previous(self) -> str | None:
        """The loaded way back, if there is one."""
        version = self.wanted.get(PREVIOUS_CHAMPION)
        return version if version in self.loaded else None

    @property
    def drilled(self) -> str | None:
        """The loaded version that a rehearsed rollback goes to, if there is one."""
        version = self.wanted.get(DRILL)
        return version if version in self.loaded else None

    @property
    def versions(self) -> list[str]:
        """The loaded versions, oldest first."""
        return sorted(self.loaded, key=int)


@dataclass(frozen=True)
class Table:
    """All routes.

    Attributes:
        routes: Routes by model name.
        problems: What is wrong.
        settled: Whether the registry was read once and every version it names was tried.
    """

    routes: Mapping[str, Route] = field(default_factory=lambda: MappingProxyType({}))
    problems: tuple[Problem, ...] = ()
    settled: bool = False

    @property
    def ready(self) -> bool:
        """Whether every model that should have a champion is served."""
        wanted = (route for route in self.routes.values() if CHAMPION in route.wanted)
        return self.settled and all(route.champion is not None for route in wanted)

    @property
    def only_model(self) -> str:
        """The model that is served, if it is the only one.

        Raises:
            Refusal: 404 if there are more or none, 503 while the gateway starts.
        """
        served = [model for model, route in self.routes.items() if route.champion is not None]
        if len(served) == 1:
            return served[0]
        if not self.settled:
            raise Refusal(503, "the gateway has not read yet from the registry what it serves")
        raise Refusal(404, f"{len(served)} models are served; name one: /models/{{model}}/invocations")

    def route(self, model: str) -> Route:
        """Return a model's route.

        Raises:
            Refusal: 404 with the nearest name; 503 while the gateway starts.
        """
        route = self.routes.get(model)
        if route is not None:
            return route
        if not self.settled:
            raise Refusal(503, f"the gateway has not read yet from the registry whether it serves {model!r}")
        raise Refusal(404, f"no model {model!r} is served{did_you_mean(model, self.routes)}")

    def rollout(self, model: str, version: str | None) -> LiveRollout | None:
        """Return how the requests to a model are split; those to a named version are not."""
        route = self.routes.get(model) if version is None else None
        return route.rollout if route else None

    def find(self, model: str, version: str | None) -> Resident | None:
        """Return the version that answers, the champion unless one is named, or None if none is loaded."""
        route = self.routes.get(model)
        if route is None:
            return None
        wanted = route.champion if version is None else version
        return None if wanted is None else route.loaded.get(wanted)

    def resolve(self, model: str, version: str | None) -> Resident:
        """Return the version that answers: the champion, unless one is named.

        Raises:
            Refusal: 404 if there is no such model or loaded version, 503 if the champion is not loaded.
        """
        if (resident := self.find(model, version)) is not None:
            return resident
        route = self.route(model)
        if version is not None:
            why = self._because(model, version)
            loaded = ", ".join(route.versions) or "none"
            raise Refusal(404, f"{model} version {version!r} is not loaded{why}; loaded: {loaded}")
        if CHAMPION not in route.wanted:
            raise Refusal(404, f"{model} has no champion yet; name one of its versions")
        why = self._because(model, route.wanted[CHAMPION])
        raise Refusal(503, f"the champion of {model} is not loaded{why or ' yet'}")

    def of_version(self, model: str, version: str | None) -> list[Problem]:
        """Return what is wrong with a version."""
        return [p for p in self.problems if (p.model, p.version) == (model, version)]

    def _because(self, model: str, version: str) -> str:
        return "".join(f" ({problem.message})" for problem in self.of_version(model, version))


class Routes(Protocol):
    """Whatever knows what serves now."""

    @property
    def table(self) -> Table:
        """The table that holds now; to be read once by each request."""

    def start(self) -> None:
        """Begin to follow what is to serve."""

    def stop(self) -> None:
        """Stop following; the table stays."""
