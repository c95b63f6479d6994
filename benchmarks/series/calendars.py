"""Features that a calendar gives, and values at other times."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def calendar(times: "pd.Series[pd.Timestamp]", *parts: str) -> "pd.DataFrame":
    """Return parts of each time: ``minute``, ``hour``, ``day_of_week``, ``day``, ``week``, ``month``.

    A minute is that of the day, a week that of the year.
    """
    import pandas as pd

    told = {
        "minute": times.dt.hour * 60 + times.dt.minute,
        "hour": times.dt.hour,
        "day_of_week": times.dt.dayofweek,
        "day": times.dt.day,
        "week": times.dt.isocalendar().week.astype("int64"),
        "month": times.dt.month,
    }
    return pd.DataFrame({part: told[part] for part in parts})


def at(values: "pd.Series[float]", offset: str) -> "pd.Series[float]":
    """Return the value at another time than each row's, NaN where nothing was recorded.

    Args:
        values: Indexed by time, each time once.
        offset: As ``-24h`` for what it was a day before.
    """
    import pandas as pd

    found = values.reindex(values.index + pd.Timedelta(offset))
    return pd.Series(found.to_numpy(), index=values.index)
