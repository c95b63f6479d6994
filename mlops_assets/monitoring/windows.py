"""Calendar windows: the last day, week or month that is over."""

from datetime import datetime, timedelta
from typing import Literal

Period = Literal["day", "week", "month"]


def last_complete_window(as_of: datetime, period: Period) -> tuple[datetime, datetime]:
    """Return start and end of the newest calendar window that ended by ``as_of``.

    Args:
        as_of: Naive UTC.
        period: A day, a week starting on Monday, or a month.
    """
    end = _floor(as_of, period)
    return _floor(end - timedelta(microseconds=1), period), end


def _floor(time: datetime, period: Period) -> datetime:
    midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case "day":
            return midnight
        case "week":
            return midnight - timedelta(days=midnight.weekday())
        case "month":
            return midnight.replace(day=1)
