"""The version that answers a stream's messages: one model's champion, followed as the gateway follows it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlops_assets.errors import RegistryError, did_you_mean
from mlops_assets.governance.audit_reading import audit_reader
from mlops_assets.governance.signatures import Verifier
from mlops_assets.home import Home
from mlops_assets.registry.port import ModelVersion, RegisteredModel, RegistryReader
from mlops_assets.registry.reading import registry_reader
from mlops_assets.serving.marks import Marks, entered_in, tried_in
from mlops_assets.serving.proving import Prover, last_good
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.routing import Router
from mlops_assets.serving.sqlite_watch import change_detector
from mlops_assets.serving.table import Resident
from mlops_assets.specs.policy_file import current_policy


@contextmanager
def followed_champion(home: Home, model: str) -> Iterator[Callable[[], Resident]]:
    """Follow a model as the gateway does; yield what tells who serves it by right at the moment.

    That raises a :class:`RegistryError` as long as nobody does.

    Raises:
        RegistryError: There is no such model, or the registry cannot be reached.
    """
    registry, verifier, chain = registry_reader(home), Verifier.for_home(home.root), audit_reader(home)
    if model not in (known := registry.models()):
        raise RegistryError(f"no model {model!r} is registered{did_you_mean(model, known)}")
    router = Router(
        _OneModel(registry, model),
        Prover(verifier, last_good(current_policy)),
        Marks(entered=entered_in(chain, verifier), tried=tried_in(chain, verifier), verifier=verifier),
        may_have_changed=change_detector(home.tracking_uri),
    )

    def champion() -> Resident:
        try:
            return router.table.resolve(model, None)
        except Refusal as refusal:
            raise RegistryError(str(refusal)) from refusal

    router.start()
    try:
        router.looked.wait()
        yield champion
    finally:
        router.stop()


@dataclass(frozen=True)
class _OneModel:
    """A registry as if it had one model, so that no other is loaded."""

    registry: RegistryReader
    model: str

    def models(self) -> dict[str, RegisteredModel]:
        return {name: found for name, found in self.registry.models().items() if name == self.model}

    def version(self, model: str, version: str) -> ModelVersion | None:
        return self.registry.version(model, version)

    def by_alias(self, model: str, alias: str) -> ModelVersion | None:
        return self.registry.by_alias(model, alias)

    def fetch_package(self, version: ModelVersion, into: Path) -> Path:
        return self.registry.fetch_package(version, into)

    def read_statement(self, run_id: str, path: str) -> bytes | None:
        return self.registry.read_statement(run_id, path)
