"""Distances equal Evidently's wherever it has them, on real columns and random ones; p-values are fair."""

import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlops_assets.defs.flight_delay.source import load
from mlops_assets.monitoring.distances import (
    Distances,
    chi_square_of_fit,
    distances,
    scipy_smirnov_p_value,
)
from mlops_assets.monitoring.profiles.cells import MOST, Cells
from mlops_assets.monitoring.profiles.column import (
    CategoricalProfile,
    NumericProfile,
    of_numbers,
    profiled,
)

# Sums of a few thousand terms in another order.
CLOSE = 1e-11
# Where values are so many that cells stand for them.
IN_CELLS = 2e-4


def evidently(reference: np.ndarray, current: np.ndarray, *, numeric: bool) -> dict[str, float]:
    """Return Evidently's own figures, of its own functions."""
    from evidently.legacy.calculations.stattests.chisquare_stattest import _chi_stat_test
    from evidently.legacy.calculations.stattests.jensenshannon import _jensenshannon
    from evidently.legacy.calculations.stattests.ks_stattest import _ks_stat_test
    from evidently.legacy.calculations.stattests.psi import _psi
    from evidently.legacy.calculations.stattests.wasserstein_distance_norm import (
        _wasserstein_distance_norm,
    )
    from evidently.legacy.core import ColumnType

    a, b = pd.Series(reference), pd.Series(current)
    kind = ColumnType.Numerical if numeric else ColumnType.Categorical
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {
            "psi": float(_psi(a, b, kind, 0.1)[0]),
            "jensen_shannon": float(_jensenshannon(a, b, kind, 0.1)[0]),
        }
        if numeric:
            found["wasserstein"] = float(_wasserstein_distance_norm(a, b, kind, 0.1)[0])
            found["smirnov p"] = float(_ks_stat_test(a, b, kind, 0.05)[0])
        else:
            found["chi-square p"] = float(_chi_stat_test(a, b, kind, 0.05)[0])
    return found


def ours(reference: np.ndarray, current: np.ndarray, *, numeric: bool) -> dict[str, float]:
    if numeric:
        a, b = of_numbers(reference), of_numbers(current)
        found = distances(a, b)
        assert found is not None
        assert found.wasserstein is not None
        assert found.kolmogorov_smirnov is not None
        apart = found.kolmogorov_smirnov.value
        further = {
            "wasserstein": found.wasserstein.value,
            "smirnov p": scipy_smirnov_p_value(apart, a.rows.known, b.rows.known),
        }
    else:
        old, new = (profiled(pa.array(side.astype(str)), "string") for side in (reference, current))
        assert isinstance(old, CategoricalProfile)
        assert isinstance(new, CategoricalProfile)
        found = distances(old, new)
        assert found is not None
        further = {"chi-square p": chi_square_of_fit(old.categories, new.categories).p_value}
    return {"psi": found.psi.value, "jensen_shannon": found.jensen_shannon.value, **further}


def real_columns() -> Iterator[tuple[str, np.ndarray]]:
    from sklearn import datasets

    for name in ("breast_cancer", "wine", "diabetes", "digits"):
        frame = getattr(datasets, f"load_{name}")(as_frame=True).data
        for column in frame:
            yield f"{name}.{column}", frame[column].to_numpy()
    flights = load(pd.Timestamp("2013-01-01"), pd.Timestamp("2013-02-01")).drop(columns="scheduled_at")
    for column in flights:
        yield f"flights.{column}", flights[column].dropna().to_numpy()


def random_columns(seeds: int) -> Iterator[tuple[str, np.ndarray]]:
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        n = int(random.integers(60, 6000))
        yield f"normal {seed}", random.normal(random.normal(0, 100), random.exponential(), n)
        yield f"lognormal {seed}", random.lognormal(0, random.uniform(0, 3), n)
        yield f"counts {seed}", random.poisson(random.exponential(20), n).astype(float)
        yield f"rounded {seed}", np.round(random.normal(0, 3, n), int(random.integers(0, 3)))
        yield f"cauchy {seed}", random.standard_cauchy(n)


COLUMNS = [*real_columns(), *random_columns(18)]


def test_there_are_many_columns() -> None:
    assert len(COLUMNS) >= 200


@pytest.mark.parametrize("way", ["divided at random", "divided by time", "shifted and stretched"])
def test_distances_of_numbers_and_texts_are_evidentlys(way: str) -> None:
    random = np.random.default_rng(3)
    for name, values in COLUMNS:
        numeric = values.dtype.kind in "fi"
        if way == "divided at random":
            values = random.permutation(values)
        elif way == "shifted and stretched" and not numeric:
            values = np.sort(values)
        reference, current = np.split(values, [int(len(values) * 0.6)])
        if numeric:
            reference, current = reference.astype(float), current.astype(float)
            if way == "shifted and stretched":
                current = current * 1.7 + 0.3 * current.std()
        theirs, found = (f(reference, current, numeric=numeric) for f in (evidently, ours))
        for figure, value in theirs.items():
            allowed = CLOSE if len(values) < 16_000 else IN_CELLS
            assert found[figure] == pytest.approx(value, rel=allowed, abs=allowed), (name, figure)


def test_the_whole_report_of_evidently_says_the_same_with_gaps_and_infinities() -> None:
    from mlops_assets.monitoring.drift import measure_drift

    random = np.random.default_rng(5)
    sides = []
    for n, shift in ((3000, 0.0), (2000, 0.2)):
        frame = pd.DataFrame(
            {
                "gaps": np.where(random.random(n) < 0.2, np.nan, random.normal(shift, 1, n)),
                "infinite": np.where(random.random(n) < 0.01, np.inf, random.lognormal(shift, 1, n)),
                "flag": (random.random(n) < 0.3 + shift).astype(float),
                "text": random.choice(["a", "b", "c"], n, p=[0.5 - shift, 0.3, 0.2 + shift]),
            }
        )
        sides.append(frame)
    theirs = {d.column: d for d in measure_drift(*sides, ["gaps", "infinite", "flag"], ["text"])}
    for column in ("gaps", "infinite"):
        found = distances(*(of_numbers(side[column].to_numpy()) for side in sides))
        assert found is not None
        assert found.wasserstein is not None
        assert theirs[column].method == "Wasserstein distance (normed)"
        assert found.wasserstein.value == pytest.approx(theirs[column].score, rel=CLOSE)
    for column, kind in (("flag", "number"), ("text", "string")):
        profiles = (profiled(pa.array(side[column].to_list()), kind) for side in sides)  # type: ignore[arg-type]
        found = distances(*profiles)
        assert found is not None
        assert theirs[column].method == "Jensen-Shannon distance"
        assert found.jensen_shannon.value == pytest.approx(theirs[column].score, rel=CLOSE)


@pytest.mark.parametrize("kind", ["normal", "exponential", "uniform", "lognormal", "heavy tails"])
def test_beside_a_kept_reference_distances_are_nearly_those_of_the_values(kind: str) -> None:
    random = np.random.default_rng(23)
    draw = {**FAIR, "heavy tails": lambda random, n: random.standard_t(3, n)}[kind]
    reference, window = draw(random, 100_000), draw(random, 100_000) + 0.02
    kept, exact = (
        dict(distances(profile(reference, most_kept), profile(window, most)) or ())
        for most_kept, most in ((4096, MOST), (2**18, 2**18))
    )
    allowed = {"psi": 3e-4, "jensen_shannon": 4e-4, "wasserstein": 2e-5, "kolmogorov_smirnov": 2e-4}
    for figure, bound in allowed.items():
        assert kept[figure].value == pytest.approx(exact[figure].value, abs=bound), figure


def profile(values: np.ndarray, cells: int) -> NumericProfile:
    made = of_numbers(values)
    kept = made.cells.at_most(cells) if cells < MOST else Cells.of(values, cells)
    return NumericProfile(made.rows, kept, made.low, made.high)


def test_distances_are_the_same_in_any_unit() -> None:
    """Also of numbers of which neither the span nor the square is one."""
    random = np.random.default_rng(19)
    old, new = random.normal(size=400), random.normal(0.2, 1, 300)
    greatest = 2.0**1023 / np.abs([*old, *new]).max()
    told = [distances(of_numbers(old * unit), of_numbers(new * unit)) for unit in (1.0, greatest)]
    for (name, one), (_, other) in zip(*map(list, told), strict=True):  # type: ignore[arg-type]
        assert (other.value, other.p_value) == pytest.approx((one.value, one.p_value), rel=1e-9), name


def test_exact_p_values_are_those_of_scipy() -> None:
    from scipy.stats import ks_2samp

    random = np.random.default_rng(7)
    for n, m in ((5, 8), (40, 40), (997, 1000), (1000, 250)):
        for shift in (0.0, 0.1, 1.0):
            a, b = random.normal(size=n), random.normal(shift, 1, m)
            told = ks_2samp(a, b, method="exact")
            assert scipy_smirnov_p_value(told.statistic, n, m) == pytest.approx(
                told.pvalue, rel=1e-9, abs=1e-13
            )


FAIR = {
    "normal": lambda random, n: random.normal(size=n),
    "exponential": lambda random, n: random.exponential(size=n),
    "uniform": lambda random, n: random.uniform(size=n),
    "lognormal": lambda random, n: random.lognormal(size=n),
    "counts": lambda random, n: random.poisson(3, n).astype(float),
}


@pytest.mark.parametrize("kind", FAIR)
def test_the_area_that_chance_makes_has_the_mean_and_variance_of_jointly_normal_gaps(kind: str) -> None:
    """Summed up pair by pair: mean of |X|, and covariance of |X| and |Y| by their correlation."""
    from mlops_assets.monitoring.profiles.distance_kernels import bridge_area

    values, counts = np.unique(FAIR[kind](np.random.default_rng(17), 700), return_counts=True)
    below = counts.cumsum()[:-1] / counts.sum()
    weights = np.diff(values) / (values[-1] - values[0]) * np.sqrt(below * (1 - below))
    odds = np.sqrt(below / (1 - below))
    r = np.minimum.outer(odds, odds) / np.maximum.outer(odds, odds)
    covariance = 2 / np.pi * (np.sqrt(1 - r**2) + r * np.arcsin(r) - 1)
    mean, variance = bridge_area(values, counts)
    assert mean == pytest.approx(np.sqrt(2 / np.pi) * weights.sum(), rel=1e-12)
    assert variance == pytest.approx(weights @ covariance @ weights, rel=0.01)


@pytest.mark.parametrize("kind", FAIR)
def test_chance_alone_is_not_called_unlikely(kind: str) -> None:
    """Of samples without a shift, no more than about a twentieth have a p-value below a twentieth."""
    random = np.random.default_rng(11)
    trials = 300
    low: dict[str, int] = {}
    for _ in range(trials):
        found = distances(of_numbers(FAIR[kind](random, 3000)), of_numbers(FAIR[kind](random, 1000)))
        assert found is not None
        for name, figure in found:
            low[name] = low.get(name, 0) + (figure.p_value < 0.05)
    # Four standard errors above: .05 + 4 * sqrt(.05 * .95 / 300).
    assert max(low.values()) <= 0.1 * trials
    assert kind == "counts" or low["wasserstein"] >= 0.01 * trials


def test_the_homogeneity_test_is_fair_where_evidentlys_test_of_fit_is_not() -> None:
    random = np.random.default_rng(13)
    names = np.array([f"c{i}" for i in range(50)])
    low = np.zeros(2)
    for _ in range(200):
        old, new = (profiled(pa.array(random.choice(names, 2000)), "string") for _ in range(2))
        assert isinstance(old, CategoricalProfile)
        assert isinstance(new, CategoricalProfile)
        found = distances(old, new)
        assert found is not None
        assert found.chi_square is not None
        of_fit = chi_square_of_fit(old.categories, new.categories)
        low += [found.chi_square.p_value < 0.05, of_fit.p_value < 0.05]
    assert low[0] <= 22  # .05 * 200 and four standard errors
    assert low[1] >= 150


numbers = arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6))


@given(numbers, numbers)
def test_distances_are_finite_and_none_between_equals(a: np.ndarray, b: np.ndarray) -> None:
    left, right = of_numbers(a), of_numbers(b)
    found, to_itself = distances(left, right), distances(left, left)
    assert found is not None
    assert to_itself is not None
    for _, figure in found:
        assert np.isfinite(figure.value)
        assert figure.value >= 0
        assert 0 <= figure.p_value <= 1
    assert [figure.value for _, figure in to_itself] == [0.0] * 4


def test_a_side_without_values_has_no_distance() -> None:
    empty = of_numbers(np.array([np.nan, np.inf]))
    assert isinstance(empty, NumericProfile)
    assert distances(empty, of_numbers(np.ones(3))) is None


def test_a_constant_that_changes_is_as_far_away_as_can_be() -> None:
    found = distances(of_numbers(np.zeros(500)), of_numbers(np.ones(500)))
    assert isinstance(found, Distances)
    assert found.kolmogorov_smirnov is not None
    assert found.kolmogorov_smirnov.value == 1
    assert found.psi.p_value < 1e-9
