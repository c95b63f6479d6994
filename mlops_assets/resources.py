"""The platform as Dagster resources: where state lives, and how stages hand on their records."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
from pydantic import BaseModel, PrivateAttr

from mlops_assets.gateway_address import living_gateway
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.ledger import Ledger
from mlops_assets.governance.signatures import Signer, Verifier
from mlops_assets.home import Home, write_atomically
from mlops_assets.monitoring.fleet_state import FleetState
from mlops_assets.monitoring.prediction_log import PredictionLog
from mlops_assets.registry.authority import Authority
from mlops_assets.registry.decisions import Decisions
from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets.registry.port import ModelVersion
from mlops_assets.registry.recorded_version import Records
from mlops_assets.specs.policy_file import current_policy
from mlops_assets.training.package import PackagedModel

_Part = TypeVar("_Part")
_Record = TypeVar("_Record", bound=BaseModel)


class Platform(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Everything a stage or gate needs besides its spec; all of it found from ``MLOPS_HOME``."""

    # Made on first use and kept per home, so that one process can work on several homes in turn.
    _parts: dict[tuple[Home, str], Any] = PrivateAttr(default_factory=dict)

    @property
    def home(self) -> Home:
        """The home folder, prepared."""
        return self._once("home", Home.from_environment().prepare)

    @property
    def registry(self) -> MlflowRegistry:
        """The model registry."""
        return self._once("registry", lambda: MlflowRegistry(self.home))

    @property
    def state(self) -> FleetState:
        """Assessments, decisions and trainings."""
        return self._once("state", lambda: FleetState(self.home.state_url))

    @property
    def audit(self) -> AuditChain:
        """What changed production or tried to."""

        def chain() -> AuditChain:
            home = self.home
            return AuditChain(home.state_url, home.audit_checkpoints, lambda: Signer.if_given(home.root))

        return self._once("audit", chain)

    @property
    def ledger(self) -> Ledger:
        """The gates' records."""
        return self._once("ledger", lambda: Ledger(self.home.root / "verdicts", self.signer))

    @property
    def authority(self) -> Authority:
        """What changes production."""
        return Authority(self.registry, self.verifier, self.audit, lambda: self.signer, self.decisions)

    @property
    def decisions(self) -> Decisions:
        """What people decided, counted by the policy as it stands now."""
        return Decisions(self.registry, self.verifier, self.audit, current_policy())

    @property
    def records(self) -> Records:
        """All that is recorded of versions."""
        return Records(self.home, self.registry, self.verifier, self.audit, self.decisions, self.state)

    def champion(self, model: str) -> ModelVersion | None:
        """Return the version that serves by right, whatever its alias says."""
        return self.authority.champion(model)

    @property
    def signer(self) -> Signer:
        """The platform key."""
        return self._once("signer", lambda: Signer.for_home(self.home.root))

    @property
    def verifier(self) -> Verifier:
        """The platform key's public half."""
        return self._once("verifier", lambda: Verifier.for_home(self.home.root))

    @property
    def prediction_log(self) -> PredictionLog:
        """The gateway's prediction log."""
        return self._once("log", lambda: PredictionLog(self.home.prediction_log))

    def package(self, run_id: str) -> PackagedModel:
        """Return the packaged model that a training run logged, verified.

        It is fetched once per process, into a private folder that goes with the process.

        Raises:
            PackageError: It is missing, unsigned or altered.
            RegistryError: The registry cannot be reached.
        """

        def fetch() -> PackagedModel:
            private = Path(self._once("scratch", tempfile.TemporaryDirectory).name) / run_id
            private.mkdir(exist_ok=True)
            return PackagedModel.open(self.registry.fetch_run_package(run_id, private), self.verifier)

        return self._once(f"package {run_id}", fetch)

    @property
    def gateway_url(self) -> str | None:
        """URL of the gateway: ``MLOPS_GATEWAY_URL``, else that of one running on this home."""
        if url := os.environ.get("MLOPS_GATEWAY_URL"):
            return url
        return living_gateway(self.home.gateway_address)

    @property
    def gateway_is_required(self) -> bool:
        """Whether a deployment must reach the configured gateway and may not use a temporary one."""
        return "MLOPS_GATEWAY_URL" in os.environ

    @property
    def mlflow_ui(self) -> str:
        """Base URL of the MLflow UI, for links."""
        return os.environ.get("MLOPS_MLFLOW_UI") or (
            self.home.tracking_uri if self.home.tracking_uri.startswith("http") else "http://127.0.0.1:5000"
        )

    def run_link(self, experiment: str, run_id: str) -> str:
        """Return the MLflow UI's address of a run."""
        return f"{self.mlflow_ui}/#/experiments/{experiment}/runs/{run_id}"

    def _once(self, name: str, make: Callable[[], _Part]) -> _Part:
        key = (Home.from_environment(), name)
        if key not in self._parts:
            self._parts[key] = make()
        part: _Part = self._parts[key]
        return part


class RecordIOManager(dg.ConfigurableIOManager):
    """Hands a stage's record to the next stage as a small JSON file, whole or not at all.

    A record names files by their digests and never holds data, so the latest one is all a later run
    needs to go on from any stage.
    """

    def handle_output(self, context: dg.OutputContext, obj: BaseModel) -> None:
        """Write the record of an asset."""
        write_atomically(self._path(context.asset_key), obj.model_dump_json(indent=1).encode())

    def load_input(self, context: dg.InputContext) -> BaseModel:
        """Return the latest record of an asset, as the type the reader declares."""
        path = self._path(context.asset_key)
        if not path.exists():
            raise dg.Failure(
                f"{context.asset_key.to_user_string()} has no record yet; materialize it first",
                allow_retries=False,
            )
        record: type[BaseModel] = context.dagster_type.typing_type
        return record.model_validate_json(path.read_bytes())

    def _path(self, key: dg.AssetKey) -> Any:
        return Home.from_environment().root.joinpath("records", *key.path).with_suffix(".json")


def latest_record(home: Home, model: str, stage: str, kind: type[_Record]) -> _Record | None:
    """Return what a stage of a model handed on last, or None if it never did."""
    path = home.root.joinpath("records", model, stage).with_suffix(".json")
    return kind.model_validate_json(path.read_bytes()) if path.exists() else None


# One object each, so that the definitions of any number of components merge without a conflict.
RESOURCES = {"platform": Platform(), "records": RecordIOManager()}
