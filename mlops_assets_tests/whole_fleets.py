"""The definitions of some models and of the automation that watches them, as a project has them."""

from pathlib import Path

import dagster as dg

from mlops_assets.automation.fleet import fleet_definitions
from mlops_assets.components.model_lifecycle import lifecycle_definitions
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy_file import load_policy
from mlops_assets.specs.resolution import effective_rules
from mlops_assets.stages.fleet_look import WatchedModel


def whole_fleet(*specs: ModelSpec, folder: Path = Path()) -> dg.Definitions:
    """Return the definitions of models whose specs lie in one folder, under the platform's own policy."""
    policy = load_policy()
    watched = [WatchedModel(spec, folder, effective_rules(spec, policy)) for spec in specs]
    models = (lifecycle_definitions(each.spec, folder, each.rules) for each in watched)
    return dg.Definitions.merge(*models, fleet_definitions(watched))
