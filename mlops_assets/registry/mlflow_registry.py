"""MLflow as the registry, through its client only: versions, aliases and tags, no stages."""

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.home import Home, settle_libraries, storage_errors, storage_failure
from mlops_assets.registry.failures import registry_errors
from mlops_assets.registry.port import CANDIDATE_TAG, ModelVersion, RegisteredModel

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

# MLflow waits minutes for a server that is down; a person should know within seconds. Its progress
# bars for packages of a megabyte would drown our own progress.
_MANNERS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}

ARTIFACT_PATH = "model"
PACKAGE_PATH = f"{ARTIFACT_PATH}/data/package"


class MlflowRegistry:
    """The registry port on an MLflow tracking server or database.

    Args:
        home: Tells the tracking URI and, for the embedded default, where artifacts go.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self.uri = home.tracking_uri
        self._opened: MlflowClient | None = None
        self._places: dict[str, str] = {}

    @property
    def client(self) -> "MlflowClient":
        """The MLflow client, made on first use."""
        if self._opened is None:
            self.make_database()
            make = _client_class()
            with self.errors():
                self._opened = make(self.uri, self.uri)
        return self._opened

    def make_database(self) -> None:
        """Make the embedded default's database, if there is none yet.

        MLflow makes its tables step by step in place: a kill midway spoils the file for good, and two
        processes that begin together spoil it for each other. So it is made aside and appears whole.
        """
        if not self.uri.startswith("sqlite:///"):
            return
        database = Path(self.uri.removeprefix("sqlite:///"))
        if database.exists():
            return
        make = _client_class()
        with self.errors():
            database.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=database.parent) as scratch:
                aside = Path(scratch) / database.name
                client = make(f"sqlite:///{aside}", f"sqlite:///{aside}")
                client.search_registered_models(max_results=1)
                client.search_experiments(max_results=1)
                # A link, unlike a rename, leaves alone what another process may have made meanwhile.
                with suppress(FileExistsError):
                    os.link(aside, database)

    def experiment(self, model: str) -> str:
        """Return the id of the model's experiment, made if need be."""
        with self.errors():
            found = self.client.get_experiment_by_name(model)
            if found is not None:
                return str(found.experiment_id)
            place = None
            if self.uri.startswith("sqlite:"):
                place = (self._home.mlflow_artifacts / model).as_uri()
            return str(self.client.create_experiment(model, artifact_location=place))

    def models(self) -> dict[str, RegisteredModel]:
        """Return every registered model by name."""
        found: dict[str, RegisteredModel] = {}
        token = None
        with self.errors():
            while True:
                page = self.client.search_registered_models(max_results=1000, page_token=token)
                for model in page:
                    aliases = {alias: str(version) for alias, version in model.aliases.items()}
                    found[model.name] = RegisteredModel(aliases, int(model.creation_timestamp or 0))
                token = page.token
                if not token:
                    return found

    def aliases(self) -> dict[str, Mapping[str, str]]:
        """Return version by alias for every registered model."""
        return {name: model.aliases for name, model in self.models().items()}

    def versions(self, model: str) -> list[ModelVersion]:
        """Return all versions of a model, oldest first."""
        with self.errors():
            found = self.client.search_model_versions(f"name = '{model}'", max_results=10_000)
        return sorted(map(_version, found), key=lambda v: int(v.version))

    def version(self, model: str, version: str) -> ModelVersion | None:
        """Return one version, or None."""
        return self._find(lambda: self.client.get_model_version(model, version))

    def by_alias(self, model: str, alias: str) -> ModelVersion | None:
        """Return the version an alias points to, or None."""
        return self._find(lambda: self.client.get_model_version_by_alias(model, alias))

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
        """Return the candidate's version, made if it is not registered yet; see the port.

        The candidate's digest is written in the same transaction as the version, so a kill between
        the two is impossible and a second registration finds the first.
        """
        for known in self.versions(model):
            # The run too: somebody else's version may bear the candidate's digest on a tag.
            if (known.candidate, known.run_id) == (candidate, run_id):
                return known
        from mlflow.exceptions import MlflowException

        with self.errors():
            try:
                self.client.create_registered_model(model, description=purpose)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            made = self.client.create_model_version(
                model,
                source=f"runs:/{run_id}/{ARTIFACT_PATH}",
                run_id=run_id,
                tags={**tags, CANDIDATE_TAG: candidate},
                description=summary,
            )
        return _version(made)

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        with self.errors():
            self.client.set_registered_model_alias(model, alias, version)

    def delete_alias(self, model: str, alias: str) -> None:
        """Remove an alias if it exists."""
        with self.errors():
            self.client.delete_registered_model_alias(model, alias)

    def set_tag(self, model: str, version: str, key: str, value: str) -> None:
        """Set a tag of a version."""
        with self.errors():
            self.client.set_model_version_tag(model, version, key, value)

    def fetch_package(self, version: ModelVersion, into: Path | None = None) -> Path:
        """Return a local folder with the version's packaged model, a copy below ``into`` if given."""
        return self.fetch_run_package(version.run_id, into)

    def fetch_run_package(self, run_id: str, into: Path | None = None) -> Path:
        """Return a local folder with the packaged model that a training run logged."""
        with self.errors():
            folder = self.client.download_artifacts(run_id, ARTIFACT_PATH, str(into) if into else None)
        return Path(folder) / "data" / "package"

    def write_statement(self, run_id: str, path: str, content: bytes) -> None:
        """Keep a signed statement beside what a run made."""
        with tempfile.TemporaryDirectory() as scratch, storage_errors(Path(scratch)):
            file = Path(scratch) / Path(path).name
            file.write_bytes(content)
            with self.errors():
                self.client.log_artifact(run_id, str(file), str(Path(path).parent))

    def read_statement(self, run_id: str, path: str) -> bytes | None:
        """Return a statement that was kept beside what a run made, or None."""
        with tempfile.TemporaryDirectory() as scratch, self.errors():
            try:
                return Path(self._artifacts_of(run_id).download_artifacts(path, scratch)).read_bytes()
            except (OSError, _mlflow_exception()) as error:
                if storage_failure(error):
                    raise
                if self._is_there(run_id, path):
                    raise
                return None

    def _artifacts_of(self, run_id: str) -> "ArtifactRepository":
        """Return where a run keeps its files; asked once, where MLflow itself asks anew for each file."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        if run_id not in self._places:
            self._places[run_id] = self.client.get_run(run_id).info.artifact_uri
        # The place is kept and not the repository: each has threads of its own.
        return get_artifact_repository(self._places[run_id], self.uri, self.uri)

    def _is_there(self, run_id: str, path: str) -> bool:
        found = self.client.list_artifacts(run_id, str(Path(path).parent))
        return any(item.path == path for item in found)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn MLflow's and the database's failures into one clear line."""
        with registry_errors(self.uri):
            yield

    def _find(self, ask: Any) -> ModelVersion | None:
        from mlflow.exceptions import MlflowException

        with self.errors():
            try:
                return _version(ask())
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise


def _client_class() -> Any:
    """Return MLflow's client, imported without its chatter, its telemetry and its patience."""
    settle_libraries()
    for name, value in _MANNERS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    # Set after the import, which configures MLflow's loggers.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient


def _mlflow_exception() -> type[Exception]:
    from mlflow.exceptions import MlflowException

    kind: type[Exception] = MlflowException
    return kind


def _version(found: Any) -> ModelVersion:
    return ModelVersion(
        model=found.name,
        version=str(found.version),
        candidate=found.tags.get(CANDIDATE_TAG, ""),
        run_id=found.run_id or "",
        tags=dict(found.tags),
    )
