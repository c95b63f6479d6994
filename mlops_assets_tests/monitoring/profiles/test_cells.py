"""Cells: the same for any order and grouping of the values, and exact as long as there are few."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlops_assets.monitoring.profiles.cells import FEWEST, Cells

finite = st.floats(allow_nan=False, allow_infinity=False)
numbers = arrays(np.float64, st.integers(0, 300), elements=finite)


def many(name: str, n: int = 60_000) -> np.ndarray:
    """Return more different numbers than fit, of a kind that takes each of the ways of counting."""
    random = np.random.default_rng(0)
    return {
        "normal": random.normal(size=n),
        "heavy tails": random.standard_cauchy(n),
        "of any magnitude": np.exp(random.uniform(-600, 600, n)) * random.choice([-1, 1], n),
        "far from zero": 1.7e9 + random.uniform(0, 1e5, n),
        "negative": -random.lognormal(0, 2, n),
        "half zeros": np.where(random.random(n) < 0.5, 0.0, random.normal(size=n)),
        "few": random.poisson(30, n).astype(float),
        "crowded, and one far away": np.append(1 + random.uniform(0, 1e-9, n - 1), 1e300),
        "few at first": np.sort(np.round(random.normal(size=n) * 1e4)),
    }[name]


KINDS = (
    "normal",
    "heavy tails",
    "of any magnitude",
    "far from zero",
    "negative",
    "half zeros",
    "few",
    "crowded, and one far away",
    "few at first",
)


def same(a: Cells, b: Cells) -> bool:
    return (a.level, a.floors.tobytes(), a.counts.tobytes()) == (
        b.level,
        b.floors.tobytes(),
        b.counts.tobytes(),
    )


@given(numbers)
@example(np.array([-0.0, 0.0, 5e-324, -5e-324]))
def test_few_values_are_kept_as_they_are(values: np.ndarray) -> None:
    cells = Cells.of(values)
    normal = np.where(np.abs(values) < 2.0**-1022, 0.0, values)
    distinct, counts = np.unique(normal, return_counts=True)
    assert cells.level == 0
    assert cells.values.tolist() == distinct.tolist()
    assert cells.counts.tolist() == counts.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_that_fit_are_kept_as_they_are(kind: str) -> None:
    values = many(kind, 9000)
    cells = Cells.of(np.concatenate([values, [np.nan, np.inf, 5e-324]]))
    distinct, counts = np.unique(np.append(values, 0.0), return_counts=True)
    assert cells.level == 0
    assert cells.values.tolist() == distinct.tolist()
    assert cells.counts.tolist() == counts.tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("most", [FEWEST, 2**14])
def test_however_rows_are_divided_the_cells_are_the_same_bytes(kind: str, most: int) -> None:
    values = many(kind)
    random = np.random.default_rng(1)
    whole = Cells.of(values, most)
    assert len(whole.floors) <= most
    assert whole.total == len(values)
    for pieces in (2, 7, 40):
        cuts = np.sort(random.integers(0, len(values), pieces))
        shards = [Cells.of(part, most) for part in np.split(random.permutation(values), cuts)]
        random.shuffle(shards)  # type: ignore[arg-type]
        together = shards[0]
        for shard in shards[1:]:
            together = shard.merge(together)
        assert same(together, whole)


@given(st.lists(numbers, min_size=3, max_size=3), st.integers(4096, 5000))
def test_merging_is_associative_and_has_a_neutral_element(parts: list[np.ndarray], most: int) -> None:
    a, b, c = (Cells.of(part, most) for part in parts)
    assert same(a.merge(b).merge(c), a.merge(b.merge(c)))
    assert same(a.merge(Cells.of(np.empty(0), most)), a)


@pytest.mark.parametrize("kind", KINDS)
def test_precision_is_lost_only_where_there_is_no_other_way(kind: str) -> None:
    values = many(kind)
    cells = Cells.of(values)
    exact = np.unique(values).view(np.int64)
    remaining = [len(np.unique(exact >> level)) for level in (cells.level, max(cells.level - 1, 0))]
    assert remaining[0] == len(cells.floors)
    assert cells.level == 0 or remaining[1] > cells.most


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "of any magnitude"])
def test_what_is_told_of_many_values_is_within_a_cell_of_the_truth(kind: str) -> None:
    values = many(kind)
    cells = Cells.of(values)
    shares = np.linspace(0.01, 0.99, 99)
    truth = np.quantile(values, shares, method="inverted_cdf")
    bits = 52 - cells.level
    assert np.allclose(cells.quantiles(shares), truth, rtol=2.0**-bits, atol=0)
    if kind != "heavy tails":
        assert cells.mean == pytest.approx(values.mean(), abs=1e-4 * values.std())
        assert cells.deviation == pytest.approx(values.std(), rel=1e-4)
    edges = cells.quantiles(np.array([0.1, 0.5, 0.9]))
    apart = cells.below(edges) - [(values < edge).sum() for edge in edges]
    assert np.abs(apart).max() <= cells.counts.max()


def test_fewer_cells_are_those_that_would_have_been_made_at_once() -> None:
    values = many("normal")
    assert same(Cells.of(values).at_most(FEWEST), Cells.of(values, FEWEST))


def test_cells_of_different_bounds_do_not_merge_and_there_is_a_least_bound() -> None:
    with pytest.raises(ValueError, match="do not merge"):
        Cells.of(np.ones(3)).merge(Cells.of(np.ones(3), FEWEST))
    with pytest.raises(ValueError, match="too few"):
        Cells.of(np.ones(3), 100)
