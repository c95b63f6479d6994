"""A model in the middle of a rollout: its registry, a gateway in this process, and requests to it."""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.traffic import Traffic, Yardsticks
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.registry.authority import Authority
from mlops_assets.registry.decisions import Decisions
from mlops_assets.registry.port import EVIDENCE_TAG
from mlops_assets.registry.proof import read_evidence, write_evidence
from mlops_assets.registry.rollouts import Rollouts
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Rules
from mlops_assets.specs.policy_file import current_policy
from mlops_assets_tests.fleets import Fleet
from mlops_assets_tests.vouching import evidence_of, record_of, rules_of, subject_of

SPEC = {
    "name": "m",
    "owner": "team:tests",
    "risk": "limited",
    "purpose": "Answers what it is told to answer.",
    "task": "regression",
    "data": {
        "source": {"type": "csv", "path": "rows.csv"},
        "time_column": "at",
        "target": "y",
        "features": ["x"],
    },
    "training": {"estimator": "sklearn.linear_model.LinearRegression"},
    "evaluation": {"primary_metric": "r2"},
}
NO_TIME = timedelta(0)


def rollout_rules(**changes: Any) -> Rules:
    """Return what is demanded of a model, with a canary that a few hundred requests take to its end."""
    rules = rules_of("limited")
    names = ("error_rate", "latency", "predictions", "performance")
    wide = {name: getattr(rules.rollout.guards, name).model_copy(update={"margin": 0.2}) for name in names}
    quick = {
        "strategy": "canary",
        "canary": (20, 50),
        "min_units": 50,
        "min_time": NO_TIME,
        "guards": rules.rollout.guards.model_copy(update=wide),
        **changes,
    }
    return rules.model_copy(update={"rollout": rules.rollout.model_copy(update=quick)})


@dataclass
class Trial:
    """Versions of the model ``m``, whose evidence demands a rollout; each answers its own number."""

    fleet: Fleet
    rules: Rules = field(default_factory=rollout_rules)
    spec: dict[str, Any] = field(default_factory=lambda: SPEC)
    vouched: bool = False

    def __post_init__(self) -> None:
        if self.vouched:  # by another process already
            self.rules = self._evidence_rules()
            return
        for version in self.fleet.registry.versions("m"):
            evidence = evidence_of(
                subject_of("m", version.candidate),
                self.rules,
                spec=ModelSpec.model_validate(self.spec).model_dump(mode="json"),
            )
            write_evidence(self.fleet.registry, version.run_id, evidence, self.fleet.signer)
            self.fleet.registry.set_tag("m", version.version, EVIDENCE_TAG, evidence.digest)

    def _evidence_rules(self) -> Rules:
        version, registry = self.fleet.registry.versions("m")[0], self.fleet.registry
        return read_evidence(registry, version, self.fleet.signer.verifier).rules

    @cached_property
    def audit(self) -> AuditChain:
        home = self.fleet.home
        return AuditChain(home.state_url, home.audit_checkpoints, lambda: self.fleet.signer)

    @cached_property
    def authority(self) -> Authority:
        registry, verifier = self.fleet.registry, self.fleet.signer.verifier
        decisions = Decisions(registry, verifier, self.audit, current_policy())
        return Authority(registry, verifier, self.audit, lambda: self.fleet.signer, decisions)

    @property
    def rollouts(self) -> Rollouts:
        return Rollouts(self.authority)

    @property
    def log(self) -> PredictionLog:
        return PredictionLog(self.fleet.home.prediction_log)

    def endpoint(self, version: str) -> list[Any]:
        registered = self.fleet.registry.version("m", version)
        assert registered is not None
        subject = subject_of("m", registered.candidate)
        return [record_of(gate, subject, self.rules) for gate in ("smoke_test", "online_offline_parity")]

    def promote(self, version: str) -> None:
        registered = self.fleet.registry.version("m", version)
        assert registered is not None
        self.authority.promote(registered, self.rules, self.endpoint(version), actor="tests")

    def begin(self, version: str, **yardsticks: Any) -> Traffic:
        registered = self.fleet.registry.version("m", version)
        assert registered is not None
        by = Yardsticks(**{"slow_ms": 1000.0, "loss_scale": 10.0, **yardsticks})
        return self.rollouts.begin(registered, self.rules, self.endpoint(version), by, actor="tests")
