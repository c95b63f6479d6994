"""Rows that a real model answered: flights of 2013, a model of January and February."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Answered:
    """Rows, what a model said of them and what came true."""

    outputs: Array
    target: Array
    times: Array
    rows: pd.DataFrame

    def between(self, start: str, end: str) -> "Answered":
        return self.where((self.times >= np.datetime64(start)) & (self.times < np.datetime64(end)))

    def where(self, rows: Array) -> "Answered":
        return Answered(self.outputs[rows], self.target[rows], self.times[rows], self.rows[rows])


@pytest.fixture(scope="session")
def flights() -> Answered:
    """Flights from March on: whether late, and how probable that seemed."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    from mlops_assets.defs.flight_delay.source import load

    rows = load(datetime(2013, 1, 1), datetime(2014, 1, 1)).reset_index(drop=True)
    at = rows["scheduled_at"]
    inputs = pd.DataFrame(
        {
            "hour": at.dt.hour,
            "carrier": rows["carrier"].astype("category").cat.codes,
            "origin": rows["origin"].astype("category").cat.codes,
            **{name: rows[name] for name in ("distance", "humid", "wind_speed", "precip", "visib")},
        }
    )
    old = (at < datetime(2013, 3, 1)).to_numpy()
    model = HistGradientBoostingClassifier(max_iter=30, random_state=0)
    model.fit(inputs[old], rows.loc[old, "late"])
    outputs = model.predict_proba(inputs[~old])[:, 1]
    return Answered(
        outputs,
        rows.loc[~old, "late"].to_numpy(dtype=float),
        at[~old].to_numpy(dtype="datetime64[us]"),
        inputs[~old].assign(carrier_name=rows["carrier"]),
    )
