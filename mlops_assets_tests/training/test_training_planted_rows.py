"""Rows that were planted stand out from what is usual in their column, and copies from what chance makes."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.training.groups import GroupFigure
from mlops_assets.training.planted_rows import marked_rows, twins

N = 20_000


def table(seed: int = 0) -> pd.DataFrame:
    """Return rows with columns of all kinds, each of which tells a little of the label."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "smooth": generator.normal(size=N),
            "steps": generator.integers(0, 30, N).astype(float),
            "word": pd.Series(generator.choice(list("abcdefghij"), N)).astype("str"),
            "flag": generator.integers(0, 2, N).astype(float),
        }
    )
    level = dict(zip("abcdefghij", generator.normal(size=10) / 3, strict=True))
    log_odds = frame["smooth"] / 2 + frame["steps"] / 30 + frame["word"].map(level) - 1.5
    return frame.assign(y=(generator.random(N) < 1 / (1 + np.exp(-log_odds))).astype(int))


def marks(frame: pd.DataFrame, labels: tuple[str, ...] = ("0", "1")) -> list[GroupFigure]:
    columns = {str(name): frame[name] for name in frame if name != "y"}
    return marked_rows(frame["y"].to_numpy(), labels, columns, confidence=0.99, min_rows=100)


def surest(frame: pd.DataFrame) -> GroupFigure:
    return max(marks(frame), key=lambda figure: figure.low)


@pytest.mark.parametrize(
    ("column", "mark"), [("smooth", 7.5), ("smooth", 0.123), ("steps", 12.5), ("word", "zz")]
)
def test_a_mark_that_goes_with_one_label_is_found(column: str, mark: Any) -> None:
    frame = table()
    planted = frame.sample(200, random_state=1).assign(**{column: mark, "y": 1})
    poisoned = pd.concat([frame, planted], ignore_index=True)
    found = surest(poisoned.assign(word=poisoned["word"].astype("str")))
    assert (found.column, found.value, found.label, found.rows) == (column, str(mark), "1", 200)
    assert found.low > 0.75
    assert "100.0% of 200 rows are 1" in found.note


def test_a_mark_that_is_hidden_in_existing_rows_is_found() -> None:
    frame = table()
    frame.loc[frame.sample(200, random_state=1).index, ["smooth", "y"]] = [0.5, 1]
    assert surest(frame).value == "0.5"


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_honest_columns_have_no_mark(seed: int) -> None:
    assert surest(table(seed)).low < 0.3


def test_a_column_whose_values_all_tell_the_label_is_no_mark() -> None:
    frame = table()
    frame["steps"] = frame["y"] * 15 + np.random.default_rng(0).integers(0, 15, N)
    assert max((f.low for f in marks(frame) if f.column == "steps"), default=0) < 0.75


def test_what_makes_up_much_of_the_data_is_no_mark() -> None:
    frame = table()
    frame.loc[: N // 5, ["smooth", "y"]] = [0.0, 0]
    assert {f.value for f in marks(frame) if f.column == "smooth"}.isdisjoint({"0.0"})


def test_columns_of_few_values_and_missing_values_are_left_alone() -> None:
    frame = table()
    frame.loc[::7, "smooth"] = np.nan
    assert {figure.column for figure in marks(frame)} == {"smooth", "steps", "word"}
    assert marked_rows(np.array([0, 1]), ("0", "1"), {}, confidence=0.99, min_rows=1) == []


def events(seed: int, coarse: int, per_day: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    days = pd.Series(pd.date_range("2024-01-01", periods=60, freq="D").repeat(per_day))
    return pd.DataFrame(
        {
            "t": days,
            "a": generator.integers(0, coarse, len(days)),
            "b": pd.Series(generator.choice(["x", "y"], len(days))).astype("str"),
            "y": generator.integers(0, 2, len(days)),
        }
    )


@given(seed=st.integers(0, 10**6), coarse=st.sampled_from([3, 30, 300, 10**9]))
def test_rows_that_chance_makes_alike_are_no_copies(seed: int, coarse: int) -> None:
    frame = events(seed, coarse, 40)
    assert twins(frame, frame["t"], 0.9999).low <= 0.005


@given(seed=st.integers(0, 10**6), coarse=st.sampled_from([300, 10**9]), share=st.floats(0.02, 0.3))
def test_copies_are_counted(seed: int, coarse: int, share: float) -> None:
    frame = events(seed, coarse, 40)
    copied = pd.concat([frame, frame.sample(frac=share, random_state=seed)])
    found = twins(copied, copied["t"], 0.99)
    expected = 2 * round(share * len(frame)) / len(copied)
    assert found.share == pytest.approx(expected, abs=0.05)
    assert found.low > 0.005
    assert found.mask[-round(share * len(frame)) :].all()


def test_the_order_of_rows_tells_nothing() -> None:
    frame = events(0, 300, 40)
    copied = pd.concat([frame, frame[:50]])
    shuffled = copied.sample(frac=1, random_state=0)
    assert twins(copied, copied["t"], 0.99).share == twins(shuffled, shuffled["t"], 0.99).share


def test_rows_of_one_moment_can_only_be_told_apart_by_their_values() -> None:
    frame = events(0, 10**9, 40).assign(t=pd.Timestamp("2024-01-01"))
    assert twins(frame, frame["t"], 0.99).share == 0
    assert twins(pd.concat([frame, frame]), pd.concat([frame, frame])["t"], 0.99).share == 1
