"""What the platform asks of a model registry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS_CHAMPION = "previous_champion"
# Nobody serves by it: it is pointed at the way back to see whether the gateway follows.
DRILL = "drill"

CANDIDATE_TAG = "mlops.candidate"
EVIDENCE_TAG = "mlops.evidence"
RELEASE_TAG = "mlops.release"
TRAFFIC_TAG = "mlops.traffic"


@dataclass(frozen=True)
class ModelVersion:
    """A registered version.

    Attributes:
        model: Model name.
        version: Version number, as text.
        candidate: Digest of the packaged model.
        run_id: Id of the MLflow run that made it.
        tags: All tags, lineage among them.
    """

    model: str
    version: str
    candidate: str
    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model.

    Attributes:
        aliases: Version by alias.
        made: When it was registered: whoever deletes it and registers it anew counts its versions from 1
            again, and they are others.
    """

    aliases: Mapping[str, str]
    made: int


class RegistryReader(Protocol):
    """What is asked of a registry by those who only read it."""

    def models(self) -> dict[str, RegisteredModel]:
        """Return every registered model by name, in one query."""
        ...

    def version(self, model: str, version: str) -> ModelVersion | None:
        """Return one version, or None."""
        ...

    def by_alias(self, model: str, alias: str) -> ModelVersion | None:
        """Return the version an alias points to, or None."""
        ...

    def fetch_package(self, version: ModelVersion, into: Path) -> Path:
        """Return a local folder with the version's packaged model, a copy below ``into``."""
        ...

    def read_statement(self, run_id: str, path: str) -> bytes | None:
        """Return a statement that was kept beside what a run made, or None."""
        ...


class Registry(RegistryReader, Protocol):
    """Port to a model registry; :class:`~mlops_assets.registry.mlflow_registry.MlflowRegistry` is real."""

    def versions(self, model: str) -> list[ModelVersion]:
        """Return all versions of a model, oldest first."""
        ...

    def register(
        self,
        model: str,
        run_id: str,
        candidate: str,
        tags: Mapping[str, str],
        *,
        purpose: str = "",
        summary: str = "",
    ) -> ModelVersion:
        """Return the candidate's version, made if it is not registered yet.

        Args:
            model: Model name.
            run_id: The training run that holds the package.
            candidate: Digest of the package.
            tags: Lineage, for programs.
            purpose: What the model is for, for people; written when the model is new.
            summary: What is to be said of this version, for people.
        """
        ...

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        ...

    def delete_alias(self, model: str, alias: str) -> None:
        """Remove an alias if it exists."""
        ...

    def set_tag(self, model: str, version: str, key: str, value: str) -> None:
        """Set a tag of a version."""
        ...

    def fetch_package(self, version: ModelVersion, into: Path | None = None) -> Path:
        """Return a local folder with the version's packaged model, a copy below ``into`` if given."""
        ...

    def write_statement(self, run_id: str, path: str, content: bytes) -> None:
        """Keep a signed statement beside what a run made."""
        ...
