"""Calendar windows: the last hour, day, week or month that is over, and where it stands in a pattern."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

Period = Literal["hour", "day", "week", "month"]

LENGTH: dict[Period, timedelta] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=365.25 / 12),
}
# A pattern is looked for in a history of so many of its cycles.
_CYCLES = 4


def last_complete_window(as_of: datetime, period: Period) -> tuple[datetime, datetime]:
    """Return start and end of the newest calendar window that ended by ``as_of``.

    Args:
        as_of: Naive UTC.
        period: An hour, a day, a week starting on Monday, or a month.
    """
    end = floor(as_of, period)
    return floor(end - timedelta(microseconds=1), period), end


def windows_between(first: datetime, until: datetime, period: Period) -> list[tuple[datetime, datetime]]:
    """Return start and end of the calendar windows that lie between two times, oldest first.

    Args:
        first: Start of the first window, naive UTC.
        until: None ends after this.
        period: Their length.
    """
    found = []
    end = floor(until, period)
    while end > first:
        start = floor(end - timedelta(microseconds=1), period)
        found.append((start, end))
        end = start
    return found[::-1]


def windows_to_assess(
    as_of: datetime, period: Period, label_delay: timedelta
) -> list[tuple[datetime, datetime]]:
    """Return the windows that there is something to say of at a time, oldest first.

    The newest one that is over, and the newest one whose labels are due; mostly they are the same.

    Args:
        as_of: Naive UTC.
        period: Length of the windows.
        label_delay: How long after an event its label is known.
    """
    found = [last_complete_window(at, period) for at in (as_of - label_delay, as_of)]
    return found if found[0] != found[1] else found[:1]


def floor(time: datetime, period: Period) -> datetime:
    """Return the start of the window that holds a time."""
    hour = time.replace(minute=0, second=0, microsecond=0)
    midnight = hour.replace(hour=0)
    match period:
        case "hour":
            return hour
        case "day":
            return midnight
        case "week":
            return midnight - timedelta(days=midnight.weekday())
        case "month":
            return midnight.replace(day=1)


def starts_of(times: "np.ndarray[Any, Any]", period: Period) -> "np.ndarray[Any, Any]":
    """Return the start of the window that holds each time; see :func:`floor`.

    Args:
        times: datetime64, naive UTC; shape (n,).
        period: Length of the windows.
    """
    import numpy as np

    units = {"hour": "h", "day": "D", "month": "M"}
    if period in units:
        return np.asarray(times.astype(f"datetime64[{units[period]}]").astype("datetime64[us]"))
    days = times.astype("datetime64[D]").astype("int64")
    # 1970 began on a Thursday.
    return np.asarray((days - (days + 3) % 7).astype("datetime64[D]").astype("datetime64[us]"))


def phases(period: Period, windows: int) -> int:
    """Return in how many phases a history of so many windows is seen: those of the longest pattern it shows.

    Hours repeat by the week or else the day, days by the week, weeks and months by the year.
    """
    longest = {"hour": (168, 24), "day": (7,), "week": (52,), "month": (12,)}[period]
    return next((count for count in longest if windows >= _CYCLES * count), 1)


def phase(start: datetime, period: Period, count: int) -> int:
    """Return the phase, from 0, of a window in a pattern of so many phases."""
    place = {
        "hour": start.weekday() * 24 + start.hour,
        "day": start.weekday(),
        "week": start.isocalendar().week - 1,
        "month": start.month - 1,
    }[period]
    return place % count
