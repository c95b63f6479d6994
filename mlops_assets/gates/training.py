"""Gates on the training: that it can be done again, and of what it was made."""

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg

from mlops_assets.gates.gate import file_and_show, gate_checks, selected
from mlops_assets.governance.components import inventory, measure_components
from mlops_assets.resources import Platform
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Rules
from mlops_assets.stages.records import TrainedModel
from mlops_assets.stages.stage import readable_errors
from mlops_assets.training.reproducibility import measure_reproducibility
from mlops_assets.verdict import Measurement

_Measure = Callable[[ModelSpec, Rules, TrainedModel, Platform], Measurement]


def _components(spec: ModelSpec, rules: Rules, trained: TrainedModel, platform: Platform) -> Measurement:
    policy_folder = platform.decisions.policy.file.parent
    return measure_components(inventory(), rules.gates.components, policy_folder)


def _reproducibility(spec: ModelSpec, rules: Rules, trained: TrainedModel, platform: Platform) -> Measurement:
    package = platform.package(trained.run_id, trained.candidate)
    return measure_reproducibility(package, spec.training.model_dump(mode="json"), platform.home)


GATES: dict[str, tuple[str, _Measure]] = {
    "reproducibility": ("Trained again from the record, every prediction is the same.", _reproducibility),
    "components": ("No component under a denied licence or with a known vulnerability.", _components),
}


def training_gates(spec: ModelSpec, rules: Rules, folder: Path) -> dg.AssetChecksDefinition:
    """Return the checks on how a candidate was made."""

    @gate_checks(spec, "trained_model", "trained", {name: said for name, (said, _) in GATES.items()})
    def gates(
        context: dg.AssetCheckExecutionContext, trained: TrainedModel, platform: Platform
    ) -> Iterator[dg.AssetCheckResult]:
        for gate in selected(context, GATES):
            with readable_errors():
                measured = GATES[gate][1](spec, rules, trained, platform)
                yield file_and_show(platform, spec, rules, trained.candidate, measured, context.run)

    return gates
