"""Profiles of columns and windows: what they count, that they merge to the same bytes, and read back."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.data.columns import convert
from mlops_assets.monitoring.profiles import profile
from mlops_assets.monitoring.profiles.categories import MOST, Categories
from mlops_assets.monitoring.profiles.column import (
    CategoricalProfile,
    NumericProfile,
    of_numbers,
    profiled,
)
from mlops_assets.monitoring.profiles.profile import (
    Profile,
    column_profile,
    profile_of,
    profile_while_reading,
)

KINDS = {"n": "number", "i": "integer", "b": "boolean", "s": "string", "t": "datetime"}


def batch(random: np.random.Generator, n: int) -> dict[str, pa.Array]:
    gaps = random.random(n) < 0.1
    return {
        "n": pa.array(np.where(random.random(n) < 0.05, np.inf, random.normal(size=n)), mask=gaps),
        "i": pa.array(random.poisson(3, n), mask=gaps),
        "b": pa.array(random.random(n) < 0.3, mask=gaps),
        "s": pa.array(random.choice(["a", "b", "ü"], n), mask=gaps).dictionary_encode(),
        "t": pa.array(random.integers(0, 10**15, n), pa.timestamp("us"), mask=gaps),
    }


def test_a_window_is_the_same_bytes_however_it_is_divided() -> None:
    random = np.random.default_rng(0)
    batches = [batch(random, int(n)) for n in random.integers(1, 9000, 6)]
    whole = profile_of(batches, KINDS)  # type: ignore[arg-type]
    shards = [profile_of([each], KINDS) for each in batches]  # type: ignore[arg-type]
    backwards = shards[-1]
    for shard in shards[-2::-1]:
        backwards = backwards.merge(shard)
    assert backwards.to_bytes() == whole.to_bytes()
    assert Profile.from_bytes(whole.to_bytes()).to_bytes() == whole.to_bytes()


def test_a_column_tells_rows_gaps_and_what_is_no_number() -> None:
    numbers = of_numbers(np.array([1.0, 2.0, np.nan, np.inf, 2.0, -np.inf]))
    assert (numbers.rows.all, numbers.rows.missing, numbers.rows.refused) == (6, 1, 2)
    assert numbers.rows.examples == ("-inf", "inf")
    assert (numbers.low, numbers.high) == (1.0, 2.0)
    assert numbers.cells.counts.tolist() == [1, 2]


def test_zeros_of_either_sign_are_the_same_bytes_in_any_order() -> None:
    one, other = (Profile({"a": of_numbers(np.array(zeros))}) for zeros in ([0.0, -0.0], [-0.0, 0.0]))
    assert one.to_bytes() == other.to_bytes()


def test_columns_are_profiled_while_they_are_read_and_what_is_wrong_with_reading_is_told() -> None:
    random = np.random.default_rng(2)
    batches = [batch(random, 500) for _ in range(5)]
    whole = profile_of(batches, KINDS)  # type: ignore[arg-type]
    read = ((name, each[name]) for name in KINDS for each in batches)
    assert profile_while_reading(KINDS, read).to_bytes() == whole.to_bytes()  # type: ignore[arg-type]

    def broken() -> Iterator[tuple[str, pa.Array]]:
        yield "n", pa.array([1.0])
        raise OSError("gone")

    numbers: dict[str, Any] = {"n": "number"}
    with pytest.raises(OSError, match="gone"):
        profile_while_reading(numbers, broken())
    with pytest.raises(pa.ArrowNotImplementedError):
        profile_while_reading(numbers, [("n", pa.array([[1.0]]))])


def test_pieces_are_profiled_in_another_thread_if_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    batches = [batch(random, 500) for _ in range(5)]
    whole = profile_of(batches, KINDS)  # type: ignore[arg-type]
    monkeypatch.setattr(profile, "_AT_ONCE", 700)
    read = [(name, each[name]) for name in KINDS for each in batches]
    assert profile_while_reading(KINDS, read).to_bytes() == whole.to_bytes()  # type: ignore[arg-type]
    with pytest.raises(pa.ArrowNotImplementedError):
        profile_while_reading({"n": "number"}, [("n", pa.array([[1.0]] * 1000))])


MIXED = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.floats(-5, 5), st.sampled_from(["a", "1", "2024-01-05"])
)


@given(st.lists(MIXED, max_size=30), st.sampled_from(sorted(KINDS.values())))
def test_types_are_judged_as_for_requests(values: list[Any], kind: Any) -> None:
    """Whatever a column holds, the profile counts what :func:`convert` makes of the same values."""
    homogeneous: dict[type, list[Any]] = {}
    for value in values:
        homogeneous.setdefault(type(value), []).append(value)
    found = column_profile((pa.array(part) for part in homogeneous.values()), kind)
    converted, bad = convert(pd.Series(values, dtype="object"), kind)
    assert found.rows.all == len(values)
    assert found.rows.refused == int(bad.sum())
    assert found.rows.known == int(converted.notna().sum())
    if isinstance(found, CategoricalProfile):
        assert dict(found.categories.counts) == converted.dropna().value_counts().to_dict()
    elif found.rows.known:
        known = converted.dropna().astype("int64" if kind == "datetime" else "float64")
        assert (found.low, found.high) == (known.min(), known.max())


def test_too_many_texts_are_folded_the_same_way_in_any_order() -> None:
    names = [f"id-{i}" for i in range(3 * MOST)]
    halves = [Categories.of(dict.fromkeys(part, 1)) for part in (names[:MOST], names[MOST:])]
    assert not halves[0].folded
    one, other = halves[0].merge(halves[1]), halves[1].merge(halves[0])
    assert one.folded
    assert one.counts == other.counts == Categories.of(dict.fromkeys(names, 1)).counts
    assert one.total == len(names)
    few, beside = Categories.of({"id-1": 2}).beside(one)
    assert few.folded
    assert few.counts.keys() <= beside.counts.keys()


def test_numbers_do_not_merge_with_texts() -> None:
    with pytest.raises(ValueError, match="do not merge"):
        Profile({"a": profiled(pa.array([1.0]), "number")}).merge(
            Profile({"a": profiled(pa.array(["x"]), "string")})
        )


@pytest.mark.parametrize("content", [b"", b"x", b"\x92\x09\x90", json.dumps([1, 2]).encode()])
def test_other_bytes_are_no_profile(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Profile.from_bytes(content)


def test_a_profile_for_keeping_has_fewer_cells_and_says_the_same() -> None:
    values = np.random.default_rng(1).normal(size=20_000)
    kept = Profile({"a": of_numbers(values)}).at_most(4096).columns["a"]
    assert isinstance(kept, NumericProfile)
    assert len(kept.cells.floors) <= 4096
    assert kept.cells.quantiles(np.array([0.5]))[0] == pytest.approx(np.median(values), abs=0.01)
