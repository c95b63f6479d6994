"""The road of a candidate through the platform's own stages and gates."""

import logging
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.components.model_lifecycle import lifecycle_definitions
from mlops_assets.data.features import FeatureView
from mlops_assets.data.sources import read_window, training_window
from mlops_assets.evaluation.metrics import higher_is_better, measure
from mlops_assets.gateway_process import running_gateway
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.evidence import Evidence
from mlops_assets.home import Home
from mlops_assets.registry.port import EVIDENCE_TAG, ModelVersion
from mlops_assets.registry.proof import write_evidence
from mlops_assets.resources import RESOURCES, Platform, RecordIOManager, latest_record
from mlops_assets.specs.durations import parse_time, utc_now
from mlops_assets.specs.gate_rules import EVIDENT
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.holdout_uses import COMPARED
from mlops_assets.stages.records import TrainedModel
from mlops_assets.stages.registered_version import subject_of
from mlops_assets.stages.stage import LIFECYCLE, stage_config
from mlops_assets.training import onnx_form
from mlops_assets.training.split import holdout_start
from mlops_assets.training.trainer import fit
from planted.candidate import BEFORE, Candidate, policy_file, rules_of
from planted.environment import setting


@dataclass(frozen=True)
class Outcome:
    """How a road ended.

    Attributes:
        refused: What each gate that refused said.
        passed: What each gate said that let the candidate pass.
        failed: Why a stage failed by itself, if one did.
        seconds: How long it took.
    """

    refused: dict[str, str]
    passed: dict[str, str]
    failed: tuple[str, ...]
    seconds: float

    @property
    def through(self) -> bool:
        """Whether the candidate came to the end."""
        return not self.refused and not self.failed


class _Standing:
    """What a candidate finds when it comes: who serves, and the audit chain.

    It stands beside the platform, because Dagster makes copies of a resource.
    """

    champion: ModelVersion | None = None
    audit: AuditChain | None = None


class Bench(Platform):
    """The platform, on which a model serves without the ceremony of its release.

    Each candidate finds an audit chain of its own, as if no other had been compared on its hold-out.
    """

    def champion(self, model: str) -> ModelVersion | None:
        """Return the version that serves."""
        return _Standing.champion

    @property
    def audit(self) -> AuditChain:
        """What changed production or tried to."""
        assert _Standing.audit is not None
        return _Standing.audit


class Road:
    """A home on which candidates are sent on their road, one after the other.

    Args:
        root: An empty folder for it.
        everything: Whether later stages are looked at too once a gate has refused.
    """

    def __init__(self, root: Path, everything: bool = False) -> None:
        self._root, self._everything = root, everything
        self._sent = 0
        self._champions: dict[tuple[str, str], ModelVersion] = {}
        os.environ["MLOPS_HOME"] = str(root / "home")
        for name in ("MLFLOW_TRACKING_URI", "MLOPS_STATE_URL", "MLOPS_AUDIT_CHECKPOINTS", "MLOPS_POLICY"):
            os.environ.pop(name, None)
        os.environ.update(Home.from_environment().prepare().environment())
        self._platform = Bench()

    def send(self, candidate: Candidate, deployed: bool = False) -> Outcome:
        """Return how a candidate's road ended.

        Args:
            candidate: The candidate.
            deployed: Whether it goes all the way, to a gateway that runs on a home of its own.
        """
        if deployed:
            return self._deploy(candidate)
        champion = self._champion(candidate.model, candidate.serves) if candidate.serves else None
        return self._send(candidate, champion)

    def _send(self, candidate: Candidate, champion: ModelVersion | None) -> Outcome:
        with ExitStack() as around:
            around.enter_context(setting(MLOPS_POLICY=str(policy_file(candidate.model))))
            for enter in candidate.around:
                around.enter_context(enter())
            name, spec, folder = self._written(candidate)
            # What an earlier candidate handed on is not this one's.
            shutil.rmtree(self._platform.home.root / "records" / spec.name, ignore_errors=True)
            chain = self._root / "chains" / name
            chain.mkdir(parents=True)
            _Standing.champion = champion
            _Standing.audit = AuditChain(
                f"sqlite:///{chain / 'fleet.db'}", chain, lambda: self._platform.signer
            )
            if candidate.tries > 1:
                spec = luckiest(spec, folder, parse_time(candidate.as_of), candidate.tries, _Standing.audit)
            resources = {"platform": self._platform, "records": RecordIOManager()}
            return run(spec, folder, candidate.as_of, resources, self._everything)

    def _deploy(self, candidate: Candidate) -> Outcome:
        """Send a candidate all the way; the gateway was started before anybody set up a training."""
        home = Home(self._root / f"home_{self._sent + 1:03d}")
        with ExitStack() as around:
            around.enter_context(
                setting(MLOPS_HOME=str(home.root), MLOPS_POLICY=str(policy_file(candidate.model)))
            )
            around.enter_context(
                setting(**home.environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{home.root}/mlflow.db"})
            )
            around.enter_context(running_gateway(home.prepare()))
            for enter in candidate.around:
                around.enter_context(enter())
            _, spec, folder = self._written(candidate)
            return run(spec, folder, candidate.as_of, RESOURCES, False, LIFECYCLE)

    def _written(self, candidate: Candidate) -> tuple[str, ModelSpec, Path]:
        self._sent += 1
        name = f"candidate_{self._sent:03d}"
        return name, *candidate.write(self._root / "projects", name)

    def _champion(self, model: str, serves: str) -> ModelVersion:
        """Return the version that serves: trained on the same road when it is first asked for."""
        if (model, serves) not in self._champions:
            candidate = Candidate.of(model)
            _CHAMPIONS[serves](candidate)
            outcome = self._send(candidate, None)
            if not outcome.through:
                print(f"  note: {model}'s {serves!r} would be refused itself: {outcome.refused}", flush=True)
            trained = latest_record(self._platform.home, model, "trained_model", TrainedModel)
            assert trained is not None
            spec = ModelSpec.model_validate(candidate.spec)
            self._champions[model, serves] = self._vouched_for(spec, trained)
        return self._champions[model, serves]

    def _vouched_for(self, spec: ModelSpec, trained: TrainedModel) -> ModelVersion:
        """Return a version with what its gates found as its evidence, by which later ones are compared."""
        platform = self._platform
        subject = subject_of(spec, trained, platform)
        records = (platform.ledger.find(spec.name, subject.judged_by(gate), gate) for gate in EVIDENT)
        evidence = Evidence(
            subject=subject,
            risk=spec.risk,
            owner=spec.owner,
            authors=(),
            rules=rules_of(spec),
            gates=tuple(record for record in records if record is not None),
            made_at=utc_now(),
            spec=spec.model_dump(mode="json"),
        )
        write_evidence(platform.registry, trained.run_id, evidence, platform.signer)
        tags = {EVIDENCE_TAG: evidence.digest}
        return ModelVersion(spec.name, "1", trained.candidate, trained.run_id, tags)


def run(
    spec: ModelSpec,
    folder: Path,
    as_of: str,
    resources: Mapping[str, Any],
    everything: bool,
    stages: Sequence[str] = LIFECYCLE[:4],
) -> Outcome:
    """Run a model's stages with their gates through Dagster in this process.

    Args:
        spec: The model's spec.
        folder: Its folder.
        as_of: When it is trained.
        resources: The platform, and what hands on records.
        everything: Whether the gates of later stages are asked too once one has refused: first all stages
            are run, then all gates.
        stages: The stages.
    """
    began = time.perf_counter()
    whole = lifecycle_definitions(spec, folder, rules_of(spec))
    chosen = dg.AssetSelection.assets(*([spec.name, stage] for stage in stages))
    turns = [chosen.without_checks(), chosen - chosen.without_checks()] if everything else [chosen]
    refused: dict[str, str] = {}
    passed: dict[str, str] = {}
    failed: list[str] = []
    for number, selection in enumerate(turns):
        job = dg.define_asset_job("road", selection, executor_def=dg.in_process_executor)
        definitions = dg.Definitions(
            assets=whole.assets,
            asset_checks=whole.asset_checks,
            resources=resources,
            jobs=[job],
            loggers={"console": _silent},
        )
        config = {} if number else stage_config("raw_data", spec.name, as_of=as_of)
        result = definitions.resolve_job_def("road").execute_in_process(
            run_config={**config, "loggers": {"console": {}}}, raise_on_error=False
        )
        for check in result.get_asset_check_evaluations():
            (passed if check.passed else refused)[check.check_name] = check.description or ""
        failed += [told for event in result.all_events if (told := _failure(event))]
    return Outcome(refused, passed, tuple(failed), time.perf_counter() - began)


def luckiest(spec: ModelSpec, folder: Path, as_of: datetime, tries: int, audit: AuditChain) -> ModelSpec:
    """Return the spec with the seed, of several, that does best on the hold-out.

    That each of the others was compared with the champion is entered in the audit chain, as the gate does.
    """
    window = training_window(spec.data, as_of)
    rows = read_window(spec.data, window, folder)
    start = holdout_start(rows[spec.data.time_column], spec.evaluation.holdout)
    features = FeatureView.from_spec(spec.data).compute(rows)
    older = rows[spec.data.time_column] < start
    metric, target = spec.evaluation.primary_metric, rows[spec.data.target]
    sign = 1 if higher_is_better(metric) else -1
    found = {}
    for seed in range(100, 100 + tries):
        training = spec.training.model_copy(update={"seed": seed})
        estimator = fit(training, spec.task, features[older], target[older])
        answers = onnx_form.native(estimator, spec.task, features[~older])
        predicted = answers if spec.task == "regression" else answers[:, 1]
        found[seed] = sign * measure(metric, target[~older].to_numpy(dtype=float), predicted)
    best = max(found, key=found.__getitem__)
    for seed in set(found) - {best}:
        audit.append(COMPARED, spec.name, candidate=f"seed {seed}", since=start, until=window.end)
    return spec.model_copy(update={"training": spec.training.model_copy(update={"seed": best})})


def _first_model(candidate: Candidate) -> None:
    """Train what a team begins with, some weeks earlier: a few small trees."""
    candidate.as_of = BEFORE[candidate.model]
    candidate.spec["training"]["params"] |= {"max_iter": 4, "max_leaf_nodes": 3, "learning_rate": 0.3}


def _same_recipe(candidate: Candidate) -> None:
    """Train the very recipe with another seed."""
    candidate.spec["training"]["seed"] = 1


_CHAMPIONS = {"first model": _first_model, "same recipe": _same_recipe}


@dg.logger
def _silent(context: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.Logger("planted", level=logging.CRITICAL)
    logger.addHandler(logging.NullHandler())
    return logger


def _failure(event: dg.DagsterEvent) -> str | None:
    """Return why a stage failed; None if none did, or only because a gate on it refused."""
    if event.event_type_value != "STEP_FAILURE":
        return None
    data: Any = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return f"{event.step_key}: {data.user_failure_data.description}"
    error = data.error
    while error.cause is not None:
        error = error.cause
    if "ssetCheck" in str(error.cls_name):
        return None
    return f"{event.step_key}: {error.cls_name}: {' '.join(error.message.split())[:300]} (no readable error)"
