"""A spec becomes Dagster definitions: the stages of the road and the gates between them."""

from pathlib import Path
from typing import Self

import dagster as dg
from pydantic import BaseModel

from mlops_assets.components.scaffold import SpecScaffolder
from mlops_assets.gates.candidate import candidate_gates
from mlops_assets.gates.data_contract import data_contract
from mlops_assets.gates.features import feature_gates
from mlops_assets.gates.training import training_gates
from mlops_assets.resources import RESOURCES
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Rules
from mlops_assets.specs.policy_file import load_policy
from mlops_assets.specs.resolution import effective_rules
from mlops_assets.stages.batch_scores import batch_scores
from mlops_assets.stages.deployed_endpoint import deployed_endpoint
from mlops_assets.stages.evaluation import evaluation
from mlops_assets.stages.fleet_look import WatchedModel
from mlops_assets.stages.raw_data import raw_data
from mlops_assets.stages.registered_version import registered_version
from mlops_assets.stages.trained_model import trained_model
from mlops_assets.stages.validated_features import validated_features


@dg.scaffold_with(SpecScaffolder)
class ModelLifecycle(dg.Component):
    """One model's road from raw data to a watched production endpoint.

    Six stages as assets, with the governance gates as blocking asset checks. The seventh, its monitoring
    report, is made together with those of all models, by the component ``FleetAutomation``. The attributes
    are the model's spec, and all that a team writes: who owns the model, what it is for and how risky, where
    its rows come from and what they must look like, how it is trained and judged, and what starts a
    retraining. ``mlops-assets check`` names every problem of every spec, each with its line.
    """

    def __init__(self, spec: ModelSpec, folder: Path, rules: Rules) -> None:
        """Make the component.

        Args:
            spec: What the team wrote.
            folder: The folder of its ``defs.yaml``, to which relative paths refer.
            rules: What the policy demands of the model.
        """
        self.spec = spec
        self.folder = folder
        self.rules = rules

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the attributes' schema: the spec itself, which knows no Dagster."""
        return ModelSpec

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Return the component for validated attributes."""
        assert isinstance(attributes, ModelSpec)
        # The policy of the whole project, never one that lies beside the spec: teams write those folders.
        rules = effective_rules(attributes, load_policy(Path(context.defs_module_path)))
        return cls(attributes, Path(context.path), rules)

    @property
    def watched(self) -> WatchedModel:
        """What of the model is watched."""
        return WatchedModel(self.spec, self.folder, self.rules)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the model's assets, checks and the resources they need."""
        return lifecycle_definitions(self.spec, self.folder, self.rules)


def lifecycle_definitions(spec: ModelSpec, folder: Path, rules: Rules | None = None) -> dg.Definitions:
    """Return the definitions of one model.

    Args:
        spec: The model's spec.
        folder: Folder to which its relative paths refer.
        rules: What the policy demands of the model; that of the platform's own policy if None.
    """
    rules = rules or effective_rules(spec, load_policy())
    return dg.Definitions(
        assets=[
            raw_data(spec, folder),
            validated_features(spec),
            trained_model(spec, folder),
            evaluation(spec, folder, rules),
            registered_version(spec, rules, folder),
            deployed_endpoint(spec, rules),
            *([batch_scores(spec, spec.batch, folder)] if spec.batch else []),
        ],
        asset_checks=[
            data_contract(spec, rules, folder),
            feature_gates(spec, rules),
            training_gates(spec, rules, folder),
            candidate_gates(spec, rules, folder),
        ],
        resources=RESOURCES,
    )
