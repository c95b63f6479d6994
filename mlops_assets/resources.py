"""The platform as Dagster resources: where state lives, and how stages hand on their records."""

import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
from pydantic import BaseModel, PrivateAttr

from mlops_assets.errors import EvidenceError, PackageError
from mlops_assets.gateway_address import living_gateway
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.gateway_credential import platform_key
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.envelope import seal, unseal
from mlops_assets.governance.ledger import Ledger
from mlops_assets.governance.signatures import Signer, Verifier
from mlops_assets.home import Home, write_atomically
from mlops_assets.monitoring.fleet_state import FleetState
from mlops_assets.monitoring.incidents.store import IncidentStore
from mlops_assets.monitoring.missed_gains import MissedGains
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.registry.authority import Authority
from mlops_assets.registry.decisions import Decisions
from mlops_assets.registry.kept_bounds import KeptBounds
from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets.registry.package_files import PackageFiles
from mlops_assets.registry.port import ModelVersion
from mlops_assets.registry.recorded_version import Records
from mlops_assets.registry.rollouts import Rollouts
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
    def missed_gains(self) -> MissedGains:
        """What waiting was expected to lose."""
        return self._once("missed_gains", lambda: MissedGains(self.home.state_url))

    @property
    def incidents(self) -> IncidentStore:
        """What is wrong in the fleet."""
        return self._once("incidents", lambda: IncidentStore(self.home.state_url))

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
    def rollouts(self) -> Rollouts:
        """What takes a version to its traffic step by step."""
        return Rollouts(self.authority)

    @property
    def kept_bounds(self) -> KeptBounds:
        """What a look at a rollout goes on from."""
        return KeptBounds(self.home.rollout_bounds, lambda: self.signer, self.verifier)

    @property
    def decisions(self) -> Decisions:
        """What people decided, counted by the policy as it stands now."""
        return Decisions(self.registry, self.verifier, self.audit, current_policy())

    @property
    def records(self) -> Records:
        """All that is recorded of versions."""
        return Records(self.home, self.registry, self.verifier, self.audit, self.decisions, self.state)

    @property
    def package_files(self) -> PackageFiles:
        """Single files of packaged models."""
        return self._once("package files", lambda: PackageFiles(self.registry, self.home.watched))

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

    def package(self, run_id: str, candidate: str) -> PackagedModel:
        """Return the packaged model that a training run logged, verified.

        Args:
            run_id: The training run.
            candidate: The package's digest: others that the platform signed are no substitute.

        Raises:
            PackageError: It is missing, unsigned, altered or another.
            RegistryError: The registry cannot be reached.
        """
        package = self.package_of(run_id)
        if package.digest != candidate:
            raise PackageError(
                f"MLflow run {run_id} holds another package ({package.digest[:12]}) than was made there "
                f"({candidate[:12]}); put it back, or run the lifecycle again"
            )
        return package

    def package_of(self, run_id: str) -> PackagedModel:
        """Return whatever packaged model a training run holds, verified; see :meth:`package`.

        It is fetched once per process, into a private folder that goes with the process.
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

    def gateway_at(self, url: str) -> GatewayClient:
        """Return a client of a gateway that shows the platform's own key."""
        return GatewayClient(url, platform_key(self.home.root))

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
    needs to go on from any stage. It is signed, because gates measure what it says: who may write to the
    home could have them look at another candidate, other rows, or a comparison that nobody made.
    """

    def handle_output(self, context: dg.OutputContext, obj: BaseModel) -> None:
        """Write the record of an asset."""
        root, path = Home.from_environment().root, context.asset_key.path
        sealed = seal(_record_kind(path), json.loads(obj.model_dump_json()), Signer.for_home(root))
        write_atomically(_record_file(root, path), sealed)

    def load_input(self, context: dg.InputContext) -> BaseModel:
        """Return the latest record of an asset, as the type the reader declares."""
        root, path = Home.from_environment().root, context.asset_key.path
        record: type[BaseModel] = context.dagster_type.typing_type
        try:
            found = _read_record(root, path, record)
        except EvidenceError as error:
            raise dg.Failure(
                str(error), metadata={"kind": type(error).__name__}, allow_retries=False
            ) from error
        if found is None:
            raise dg.Failure(
                f"{context.asset_key.to_user_string()} has no record yet; materialize it first",
                allow_retries=False,
            )
        return found


def latest_record(home: Home, model: str, stage: str, kind: type[_Record]) -> _Record | None:
    """Return what a stage of a model handed on last, or None if it never did.

    Raises:
        EvidenceError: The platform did not write it.
    """
    return _read_record(home.root, [model, stage], kind)


def _read_record(root: Path, path: Sequence[str], kind: type[_Record]) -> _Record | None:
    file = _record_file(root, path)
    try:
        value = unseal(_record_kind(path), file.read_bytes(), Verifier.for_home(root))
        return kind.model_validate_json(json.dumps(value))
    except FileNotFoundError:
        return None
    except EvidenceError as error:
        said = f"the record of {' '.join(path)} ({file}) {error}; run that stage again"
        raise EvidenceError(said) from error


def _record_file(root: Path, path: Sequence[str]) -> Path:
    return root.joinpath("records", *path).with_suffix(".json")


def _record_kind(path: Sequence[str]) -> str:
    """Return what a record states: of which model and stage, so that it stands in for no other's."""
    return f"record/1 {'/'.join(path)}"


# One object each, so that the definitions of any number of components merge without a conflict.
RESOURCES = {"platform": Platform(), "records": RecordIOManager()}
