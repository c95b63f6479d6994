"""Features of a flight. This file travels inside each packaged model and runs in the gateway."""

import pandas as pd  # noqa: TID253  (imported when features are computed)

# Codes are part of the model: a new carrier goes to the end, none is ever renumbered.
_CARRIERS = {
    "9E": 0, "AA": 1, "AS": 2, "B6": 3, "DL": 4, "EV": 5, "F9": 6, "FL": 7,
    "HA": 8, "MQ": 9, "OO": 10, "UA": 11, "US": 12, "VX": 13, "WN": 14, "YV": 15,
}  # fmt: skip
_ORIGINS = {"EWR": 0, "JFK": 1, "LGA": 2}


def compute(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row of numbers for each flight.

    Temperature is left out on purpose: it tells the season of the training window, not the delay.
    """
    scheduled = rows["scheduled_at"].dt
    return pd.DataFrame(
        {
            "carrier": rows["carrier"].map(_CARRIERS),
            "origin": rows["origin"].map(_ORIGINS),
            "minute_of_day": scheduled.hour * 60 + scheduled.minute,
            "day_of_week": scheduled.dayofweek,
            "distance": rows["distance"],
            "humid": rows["humid"],
            "wind_speed": rows["wind_speed"],
            "precip": rows["precip"],
            "pressure": rows["pressure"],
            "visib": rows["visib"],
        },
        index=rows.index,
    )
