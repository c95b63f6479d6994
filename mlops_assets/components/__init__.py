"""The component types: what a ``defs.yaml`` may be."""

from mlops_assets.components.fleet_automation import FleetAutomation
from mlops_assets.components.model_lifecycle import ModelLifecycle

__all__ = ["FleetAutomation", "ModelLifecycle"]
