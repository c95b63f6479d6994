"""Real mistakes for the demo: what a colleague might change on a Friday afternoon."""

from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.defs.flight_delay.source import load

if TYPE_CHECKING:
    import pandas as pd


def load_with_humidity_as_fraction(start: datetime, end: datetime) -> "pd.DataFrame":
    """Return the flights from a weather feed that now gives humidity as 0–1 instead of percent.

    Every value still lies in the declared range of 0 to 100, so types and ranges see nothing.
    """
    rows = load(start, end)
    return rows.assign(humid=rows["humid"] / 100)
