"""Read a registry without importing MLflow, where that can be done; else with it.

MLflow takes four seconds of processor time and 200 MB, most of what a gateway or a quick look costs.
"""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from mlops_assets.home import Home
from mlops_assets.registry.artifacts import NeedsMlflow
from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets.registry.port import ModelVersion, RegisteredModel, RegistryReader
from mlops_assets.registry.rest_reader import RestReader
from mlops_assets.registry.sqlite_reader import SqliteReader

log = logging.getLogger("mlops_assets.registry")

_Answer = TypeVar("_Answer")
_TRUE = ("true", "1")


def registry_reader(home: Home, environment: Mapping[str, str] = os.environ) -> RegistryReader:
    """Return a reader of a home's registry that imports MLflow only for what nobody else can read.

    Args:
        home: Tells where the registry is.
        environment: Holds what MLflow's client would heed.
    """
    uri, full = home.tracking_uri, MlflowRegistry(home)
    # MLflow's workspaces share one database, and what is whose is MLflow's business.
    if environment.get("MLFLOW_ENABLE_WORKSPACES", "").lower() in _TRUE:
        return full
    if uri.startswith("sqlite:///") and "?" not in uri:
        # Where something was served before, a database that is not there is lost, and not new.
        return LightReader(SqliteReader(uri, is_new=not home.served.exists()), full)
    if uri.startswith(("http://", "https://")) and RestReader.suits(environment):
        return LightReader(RestReader(uri), full)
    return full


class LightReader:
    """A reader that can do nearly everything, and one that stands in for it where it cannot.

    Args:
        light: Raises :class:`NeedsMlflow` for what it cannot read.
        full: Can read everything.
    """

    def __init__(self, light: RegistryReader, full: RegistryReader) -> None:
        self._light, self._full = light, full
        self._told: set[str] = set()

    def models(self) -> dict[str, RegisteredModel]:
        """Return every registered model by name."""
        return self._ask(lambda reader: reader.models())

    def version(self, model: str, version: str) -> ModelVersion | None:
        """Return one version, or None."""
        return self._ask(lambda reader: reader.version(model, version))

    def by_alias(self, model: str, alias: str) -> ModelVersion | None:
        """Return the version an alias points to, or None."""
        return self._ask(lambda reader: reader.by_alias(model, alias))

    def fetch_package(self, version: ModelVersion, into: Path) -> Path:
        """Return a copy of the version's packaged model below ``into``."""
        return self._ask(lambda reader: reader.fetch_package(version, into))

    def read_statement(self, run_id: str, path: str) -> bytes | None:
        """Return a statement that was kept beside what a run made, or None."""
        return self._ask(lambda reader: reader.read_statement(run_id, path))

    def _ask(self, ask: Callable[[RegistryReader], _Answer]) -> _Answer:
        try:
            return ask(self._light)
        except NeedsMlflow as needed:
            if (why := str(needed)) not in self._told:
                self._told.add(why)
                log.warning("%s, which is imported for it: it takes seconds and 200 MB", why)
        return ask(self._full)
