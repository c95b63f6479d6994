"""The fleet's state as whoever reads or writes it sees it."""

from mlops_assets.monitoring.fleet_state.retrainings import Retrainings
from mlops_assets.monitoring.fleet_state.windows import AssessedWindows


class FleetState(AssessedWindows, Retrainings):
    """Assessments, decisions and trainings in any database SQLAlchemy reaches.

    Args:
        url: SQLAlchemy URL.
    """
