"""The fleet's state beside the registry: assessments, decisions and trainings.

One small database for all models, so that the sensor of a thousand models asks one question a tick.
"""

from mlops_assets.monitoring.fleet_state.glances import ModelOverview, WindowGlance
from mlops_assets.monitoring.fleet_state.retrainings import FiledDecision, Learned
from mlops_assets.monitoring.fleet_state.state import FleetState
from mlops_assets.monitoring.fleet_state.windows import AssessedWindow

__all__ = [
    "AssessedWindow",
    "FiledDecision",
    "FleetState",
    "Learned",
    "ModelOverview",
    "WindowGlance",
]
