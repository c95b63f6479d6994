"""Features of a person's year in a plan."""

import pandas as pd  # noqa: TID253

_HEALTH = {"poor": 0, "fair": 1, "good": 2, "excellent": 3}
_SITES = {"A": 0, "B": 1, "C": 2, "D": 3, "E": 4, "F": 5}


def compute(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row of numbers for each year of a person."""
    return pd.DataFrame(
        {
            "coinsurance": rows["coinsurance"],
            "deductible": rows["deductible"],
            "incentive": rows["incentive"],
            "age": rows["age"],
            "female": rows["female"],
            "income": rows["income"],
            "education": rows["education"],
            "family_size": rows["family_size"],
            "health": rows["health"].map(_HEALTH),
            "general_health": rows["general_health"],
            "mental_health": rows["mental_health"],
            "diseases": rows["diseases"],
            "limited": rows["limited"],
            "site": rows["site"].map(_SITES),
        },
        index=rows.index,
    )
