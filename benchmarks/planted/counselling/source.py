"""One row for each answer to the survey.

The data have no times, and their rows are sorted by the answer to be predicted. Each row is given a moment
by a fixed draw.
"""

import importlib.util
from datetime import datetime
from functools import cache
from pathlib import Path

import pandas as pd  # noqa: TID253

_FIRST_DAY, _DAYS = datetime(1974, 1, 1), 400


def load(start: datetime, end: datetime) -> pd.DataFrame:
    """Return the answers given in [start, end)."""
    answers = _answers()
    return answers[(answers["answered_at"] >= start) & (answers["answered_at"] < end)]


@cache
def _answers() -> pd.DataFrame:
    spec = importlib.util.find_spec("statsmodels")
    if spec is None or spec.origin is None:
        raise ImportError("statsmodels is not installed")
    table = pd.read_csv(Path(spec.origin).parent / "datasets" / "fair" / "fair.csv")
    drawn = table.sample(frac=1, random_state=1974).index
    moment = pd.Series(range(len(table)), index=drawn) / len(table) * _DAYS
    return table.assign(
        affair=(table["affairs"] > 0).astype(int),
        # As the file has it too: where a row stands in it.
        row=table.index,
        answered_at=_FIRST_DAY + pd.to_timedelta(moment, unit="D").dt.round("s"),
    )
