"""One row for each person and year of the plan.

The data tell the year of the plan and not the day of enrolment. Each person is given one by a fixed draw, so
that people are on one side of the split and never on both.
"""

import importlib.util
from datetime import datetime
from functools import cache
from pathlib import Path

import pandas as pd  # noqa: TID253

_FIRST_DAY, _DAYS = datetime(1976, 1, 1), 500
_MOST_VISITS = 20  # so many count of those of one year: a practice plans for many, not for one
_SITES = dict(zip(range(1, 7), "ABCDEF", strict=True))
_NAMES = {
    "zper": "person",
    "coins": "coinsurance",
    "idp": "deductible",
    "pioff": "incentive",
    "xage": "age",
    "educdec": "education",
    "num": "family_size",
    "ghindx": "general_health",
    "mhi": "mental_health",
    "disea": "diseases",
    "physlm": "limited",
    # What is only known at the end of the year, as the table has it too:
    "outpdol": "spent_on_visits",
    "meddol": "spent_in_all",
    "notmdvis": "visits_to_others",
}


def load(start: datetime, end: datetime) -> pd.DataFrame:
    """Return the years of people who enrolled in [start, end)."""
    years = _years()
    return years[(years["enrolled_at"] >= start) & (years["enrolled_at"] < end)]


@cache
def _years() -> pd.DataFrame:
    spec = importlib.util.find_spec("statsmodels")
    if spec is None or spec.origin is None:
        raise ImportError("statsmodels is not installed")
    table = pd.read_csv(Path(spec.origin).parent / "datasets" / "randhie" / "src" / "randhie.csv")
    health = pd.Series("excellent", index=table.index)
    for column, said in (("hlthg", "good"), ("hlthf", "fair"), ("hlthp", "poor")):
        health = health.mask(table[column] == 1, said)
    people = table["zper"].drop_duplicates()
    shuffled = people.sample(frac=1, random_state=0).reset_index(drop=True)
    moment = {person: place / len(shuffled) * _DAYS for place, person in shuffled.items()}
    found = table.rename(columns=_NAMES).assign(
        visits=table["mdvis"].clip(upper=_MOST_VISITS),
        health=health,
        site=table["site"].map(_SITES),
        incentive=table["pioff"].fillna(0.0),
        enrolled_at=_FIRST_DAY + pd.to_timedelta(table["zper"].map(moment), unit="D").dt.round("s"),
    )
    kept = [*_NAMES.values(), "visits", "year", "female", "income", "health", "site", "enrolled_at"]
    return found[kept].reset_index(drop=True)
