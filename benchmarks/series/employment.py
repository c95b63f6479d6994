"""Who is employed in Massachusetts: nothing much changes."""

from datetime import timedelta

from series.packages import packaged
from series.shape import Series, Source, shaped

_EMPLOYMENT = Source(
    package="nannyml",
    version="0.13.1",
    licence="Apache-2.0",
    rows="a person asked in 2015 to 2018, dated on 1 January since no more than the year is told: "
    "whether employed",
    left_out="predictions that the package adds",
)


def load() -> list[Series]:
    """Return the one series of four years."""
    import pandas as pd

    folder = packaged(_EMPLOYMENT, "nannyml/datasets/data")
    first = pd.read_parquet(folder / "employment_MA_reference.pq")
    later = pd.read_parquet(folder / "employment_MA_analysis.pq")
    labels = pd.read_parquet(folder / "employment_MA_analysis_target.pq")
    people = pd.concat([first, later.merge(labels, on="id")]).sort_values("id")
    people["asked"] = pd.to_datetime(people["year"].astype(int).astype(str) + "-01-01")
    features = [
        c for c in first if c not in {"id", "year", "employed", "prediction", "predicted_probability"}
    ]
    people[features[1:]] = people[features[1:]].astype("str")  # all but the age are codes
    return [
        shaped(
            people,
            "employment/massachusetts",
            _EMPLOYMENT,
            "binary_classification",
            time="asked",
            target="employed",
            features=tuple(features),
            label_delay=timedelta(days=365),
            window="year",
            train_windows=1,
        )
    ]
