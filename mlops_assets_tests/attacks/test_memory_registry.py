"""The registry in memory does what MLflow does, so that what attacks find in it holds for MLflow."""

from collections.abc import Callable
from typing import Any

from mlflow.exceptions import MlflowException

from mlops_assets.errors import RegistryError
from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets_tests.attacks.memory_registry import MemoryRegistry
from mlops_assets_tests.attacks.production import Production


class Mlflow:
    """MLflow with the names that :class:`MemoryRegistry` has."""

    def __init__(self, registry: MlflowRegistry) -> None:
        self._registry, self._client = registry, registry.client
        self._runs: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)

    def register(self, model: str, run: str, candidate: str, tags: dict[str, str]) -> Any:
        return self._registry.register(model, self._run(run), candidate, tags)

    def create_version(self, model: str, run: str, tags: dict[str, str]) -> str:
        made = self._client.create_model_version(model, f"runs:/{run}/model", self._run(run), tags=tags)
        return str(made.version)

    def create_model(self, model: str) -> None:
        self._client.create_registered_model(model)

    def delete_model(self, model: str) -> None:
        self._client.delete_registered_model(model)

    def rename_model(self, model: str, name: str) -> None:
        self._client.rename_registered_model(model, name)

    def delete_version(self, model: str, version: str) -> None:
        self._client.delete_model_version(model, version)

    def delete_tag(self, model: str, version: str, key: str) -> None:
        self._client.delete_model_version_tag(model, version, key)

    def _run(self, name: str) -> str:
        if name not in self._runs:
            self._runs[name] = self._client.create_run(self._registry.experiment("x")).info.run_id
        return self._runs[name]

    def named(self, run_id: str) -> str:
        """Return the name under which a run was given."""
        return next((name for name, known in self._runs.items() if known == run_id), run_id)


OPERATIONS: list[Callable[[Any], Any]] = [
    lambda r: r.register("x", "r1", "a", {"t": "1"}),
    lambda r: r.register("x", "r2", "b", {}),
    lambda r: r.register("x", "r1", "a", {"t": "ignored"}),
    lambda r: r.register("x", "r3", "a", {}),
    lambda r: r.set_alias("x", "champion", "1"),
    lambda r: r.set_alias("x", "champion", "2"),
    lambda r: r.set_alias("x", "champion", "9"),
    lambda r: r.set_alias("nobody", "champion", "1"),
    lambda r: r.set_alias("x", "previous_champion", "1"),
    lambda r: r.delete_alias("x", "previous_champion"),
    lambda r: r.delete_alias("x", "previous_champion"),
    lambda r: r.set_tag("x", "2", "k", "v"),
    lambda r: r.set_tag("x", "2", "k", "w"),
    lambda r: r.set_tag("x", "9", "k", "w"),
    lambda r: r.delete_tag("x", "2", "k"),
    lambda r: r.delete_tag("x", "2", "k"),
    lambda r: r.delete_tag("x", "9", "k"),
    lambda r: r.delete_version("x", "2"),
    lambda r: r.delete_version("x", "2"),
    lambda r: r.set_alias("x", "champion", "2"),
    lambda r: r.create_version("x", "r2", {"mlops.candidate": "b"}),
    lambda r: r.create_model("x"),
    lambda r: r.create_model("y"),
    lambda r: r.create_version("y", "r1", {}),
    lambda r: r.set_alias("y", "champion", "1"),
    lambda r: r.rename_model("x", "y"),
    lambda r: r.rename_model("x", "z"),
    lambda r: r.rename_model("y", "x"),
    lambda r: r.delete_model("x"),
    lambda r: r.delete_model("x"),
    lambda r: r.create_model("x"),
    lambda r: r.create_version("x", "r3", {"mlops.candidate": "c"}),
    lambda r: r.create_version("nobody", "r3", {}),
    lambda r: r.set_alias("x", "champion", "1"),
]


def _done(registry: Any, operation: Callable[[Any], Any]) -> bool:
    try:
        operation(registry)
    except (RegistryError, MlflowException):
        return False
    return True


def _state(registry: Any) -> Any:
    named = getattr(registry, "named", lambda run: run)
    models = registry.models()
    return {
        name: (
            dict(models[name].aliases),
            [(v.version, v.candidate, named(v.run_id), dict(v.tags)) for v in registry.versions(name)],
            [registry.version(name, number) is not None for number in "1234"],
            getattr(registry.by_alias(name, "champion"), "version", None),
        )
        for name in ("x", "y", "z")
        if name in models
    }


def _anew(before: Any, after: Any) -> dict[str, bool]:
    """Return which models are others than before although they have the same name."""
    return {name: before[name].made != after[name].made for name in before.keys() & after.keys()}


def test_each_operation_does_in_memory_what_it_does_in_mlflow(production: Production) -> None:
    memory, mlflow = MemoryRegistry(), Mlflow(production.registry)
    for name in ("m", "n"):
        production.mlflow.delete_registered_model(name)
    for number, operation in enumerate(OPERATIONS):
        before = memory.models(), mlflow.models()
        assert _done(memory, operation) == _done(mlflow, operation), f"operation {number}"
        assert _state(memory) == _state(mlflow), f"operation {number}"
        assert _anew(before[0], memory.models()) == _anew(before[1], mlflow.models()), f"operation {number}"


def test_statements_are_kept_and_missing_ones_are_none(production: Production) -> None:
    run = production.version("1").run_id
    for registry in (MemoryRegistry(), production.registry):
        assert registry.read_statement(run, "evidence/none.json") is None
        registry.write_statement(run, "evidence/some.json", b"said")
        registry.write_statement(run, "evidence/some.json", b"said again")
        assert registry.read_statement(run, "evidence/some.json") == b"said again"
