"""Real rows: days whose order is drawn by lot, so that nothing can be wrong; days as they were; a control."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from series.shape import Series

from trials.streams import Windows

if TYPE_CHECKING:
    pass

Array = np.ndarray[Any, Any]

_FEWEST_ROWS = 20
_ROWS = 1000


def days(series: Series) -> Windows:
    """Return the calendar days of a series, whole weeks from Monday to Sunday without a gap."""
    dates = series.frame[series.time_column].dt.floor("D")
    first = dates.min() + timedelta(days=(7 - dates.min().weekday()) % 7)
    found = {
        date.to_pydatetime(): _profile(series, rows)
        for date, rows in series.frame.groupby(dates, sort=True)
        if date >= first and len(rows) >= _FEWEST_ROWS
    }
    ...
