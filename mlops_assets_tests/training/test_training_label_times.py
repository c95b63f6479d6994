"""Labels that are missing for a time are refused; honest rates that vary from day to day pass."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from mlops_assets.data.features import FeatureView
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.training.label_noise import measure_label_noise
from mlops_assets.training.label_times import missing_labels
from mlops_assets.verdict import Figure, Verdict, judge
from mlops_assets_tests.vouching import rules_of

RULES = rules_of().gates.label_noise


def honest(
    seed: int,
    days: int = 240,
    per_day: int = 80,
    memory: float = 0.6,
    daily: float = 0.5,
    season: float = 0.5,
) -> pd.DataFrame:
    """Return rows whose rate has a season, and bad days that come together."""
    generator = np.random.default_rng(seed)
    log_odds, last = np.zeros(days), 0.0
    for day in range(days):
        last = memory * last + np.sqrt(1 - memory**2) * generator.normal()
        log_odds[day] = -1 + daily * last + season * np.sin(2 * np.pi * day / 365)
    of_day = np.sort(generator.integers(0, days, days * per_day))
    seconds = of_day * 86_400 + generator.integers(0, 86_400, len(of_day))
    a = generator.normal(size=len(of_day))
    return pd.DataFrame(
        {
            "t": (pd.Timestamp("2024-01-01") + pd.to_timedelta(seconds, unit="s")).astype("datetime64[us]"),
            "a": a,
            "b": generator.normal(size=len(of_day)),
            "y": (generator.random(len(of_day)) < expit(log_odds[of_day] + a)).astype(int),
        }
    )


def within(rows: pd.DataFrame, newest: int, but: int = 0) -> "pd.Series[bool]":
    """Return which rows are of the newest days, but for so many of these."""
    age = rows["t"].max() - rows["t"]
    return (age < pd.Timedelta(days=newest)) & (age >= pd.Timedelta(days=but))


def a_week(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(y=rows["y"].mask(within(rows, 97, but=90), 0))


def newest_days(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(y=rows["y"].mask(within(rows, 4), 0))


def half_of_the_newest_month(rows: pd.DataFrame) -> pd.DataFrame:
    some = np.random.default_rng(1).random(len(rows)) < 0.5
    return rows.assign(y=rows["y"].mask(within(rows, 30) & some, 0))


def worst(rows: pd.DataFrame) -> list[Any]:
    codes = rows["y"].to_numpy()
    return missing_labels(codes, ("no", "yes"), rows["t"], confidence=RULES.confidence)


def most_missing(rows: pd.DataFrame) -> float:
    return max(figure.low for figure in worst(rows))


def screened(rows: pd.DataFrame, spec: ModelSpec, holdout: int = 0) -> Verdict:
    """Return the verdict on rows of which the newest days are the hold-out."""
    newest = within(rows, holdout)
    learnt = rows[~newest]
    features = FeatureView.from_spec(spec.data).compute(learnt)
    measured = measure_label_noise(features, learnt, spec, RULES, holdout=rows[newest] if holdout else None)
    return judge(measured, RULES)


def held(verdict: Verdict) -> Figure:
    return next(f for f in verdict.measurement.figures if f.limit == "max_missing")


@pytest.fixture
def spec(make_spec: Callable[..., ModelSpec]) -> ModelSpec:
    return make_spec(data={"features": ["a", "b"]})


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("memory", [0.0, 0.9])
def test_rates_with_a_season_and_bad_days_that_come_together_are_within_the_limit(
    seed: int, memory: float
) -> None:
    assert most_missing(honest(seed, memory=memory)) < RULES.max_missing


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fault", [a_week, newest_days])
def test_days_without_labels_are_beyond_the_limit_whenever_they_are(
    seed: int, fault: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    assert most_missing(fault(honest(seed))) > 2 * RULES.max_missing


@pytest.mark.parametrize("seed", range(4))
def test_half_a_month_is_seen_where_days_are_much_alike(seed: int) -> None:
    rows = honest(seed, days=365, per_day=32, memory=0.0, daily=0.0, season=0.0)
    assert most_missing(half_of_the_newest_month(rows)) > RULES.max_missing


def test_honest_rows_pass_the_gate_and_nothing_is_said_of_missing_labels(spec: ModelSpec) -> None:
    verdict = screened(honest(0), spec, holdout=14)
    assert verdict.passed, verdict.summary
    assert "missing" not in verdict.summary


def test_a_week_without_labels_is_refused_with_its_dates(spec: ModelSpec) -> None:
    rows = honest(0)
    verdict = screened(a_week(rows), spec, holdout=14)
    refused = [b.figure for b in verdict.breaches]
    assert len(refused) == 1
    assert refused[0].startswith("labels missing where t is ")
    week = rows["t"][within(rows, 97, but=90)]
    (told,) = (f for f in verdict.measurement.findings if f["problem"] == "labels are missing")
    assert told["label"] == "1"
    begin, end = map(pd.Timestamp, told["value"].split(" to "))
    assert abs(begin - week.min()) < pd.Timedelta(days=2)
    assert abs(end - week.max()) < pd.Timedelta(days=2)
    assert "0.0% of" in told["note"]


def test_labels_not_waited_for_are_refused_though_they_are_all_in_the_holdout(spec: ModelSpec) -> None:
    verdict = screened(newest_days(honest(0)), spec, holdout=14)
    assert [b.figure.split(" where")[0] for b in verdict.breaches] == ["labels missing"]
    assert "most labels are missing where t is" in verdict.measurement.summary


def test_half_of_a_month_not_waited_for_is_refused(spec: ModelSpec) -> None:
    rows = honest(0, days=365, per_day=32, memory=0.0, daily=0.0, season=0.0)
    verdict = screened(half_of_the_newest_month(rows), spec, holdout=90)
    assert "labels missing" in {b.figure.split(" where")[0] for b in verdict.breaches}


def test_numbers_to_predict_that_are_zero_for_a_week_are_refused(make_spec: Callable[..., ModelSpec]) -> None:
    spec = make_spec("regression", data={"features": ["a", "b"]})
    rows = honest(0)
    rows["y"] = rows["y"] + np.random.default_rng(0).exponential(size=len(rows))
    assert held(screened(rows, spec, holdout=14)).low == 0
    rows["y"] = rows["y"].mask(within(rows, 97, but=90), 0.0)
    assert held(screened(rows, spec, holdout=14)).low > RULES.max_missing  # type: ignore[operator]


@pytest.mark.parametrize(("days", "per_day"), [(6, 400), (60, 4), (1, 900)])
def test_too_few_days_or_rows_pass_and_say_so(spec: ModelSpec, days: int, per_day: int) -> None:
    figure = held(screened(newest_days(honest(0, days, per_day)), spec))
    assert (figure.value, figure.low, figure.high) == (0, 0, 1)
    assert figure.note == "too few days to tell what is usual"


def test_days_without_any_rows_are_no_missing_labels() -> None:
    rows = honest(0)
    assert most_missing(rows[~within(rows, 110, but=90)]) < RULES.max_missing


def test_a_class_that_is_always_rare_is_not_missing() -> None:
    rows = honest(0)
    rare = rows["y"] * (np.random.default_rng(2).random(len(rows)) < 0.02)
    assert most_missing(rows.assign(y=rare)) < RULES.max_missing


@pytest.mark.parametrize("fault", [lambda rows: rows, a_week, newest_days])
def test_the_order_of_rows_does_not_matter(fault: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    rows = fault(honest(1))
    assert worst(rows.sample(frac=1, random_state=0)) == worst(rows)
