import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.rollout.plan import Split
from mlops_assets.rollout.sequential_bounds import is_above
from mlops_assets.rollout.units import differences_of_pairs, differences_of_split, paired_units, split_units

STEPS = (5, 25, 50)


def requests(
    seed: int, entities: int, count: int, per_entity: float = 0.0, steps: tuple[int, ...] = STEPS
) -> pd.DataFrame:
    """Return requests of entities that come again and again, some of whom fail far more often."""
    generator = np.random.default_rng(seed)
    split = Split(str(seed))
    entity = generator.integers(0, entities, count)
    percent = np.sort(generator.choice(steps, count))
    prone = generator.random(entities) < 0.1
    failing = 0.02 + per_entity * prone[entity]
    return pd.DataFrame(
        {
            "entity": entity,
            "percent": percent,
            "challenger": [split.is_challengers(str(e), p) for e, p in zip(entity, percent, strict=True)],
            "outcome": (generator.random(count) < failing).astype("float64"),
            "known_at": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(count), unit="s"),
        }
    )


@settings(max_examples=30)
@given(st.integers(0, 1_000), st.integers(1, 60), st.integers(1, 300))
def test_an_entity_counts_once_a_step_and_no_more_once_it_has_gone_over(
    seed: int, entities: int, count: int
) -> None:
    answers = requests(seed, entities, count)
    units = split_units(answers)

    assert not units.duplicated(["entity", "percent"]).any()
    assert units["known_at"].is_monotonic_increasing
    assert units["probability"].between(0, 1, inclusive="neither").all()
    for _, steps in units.groupby("entity"):
        assert not steps["challenger"].iloc[:-1].any()


@settings(max_examples=50)
@given(st.integers(0, 1_000), st.integers(1, 60), st.integers(0, 200))
def test_what_is_known_later_alters_nothing_that_was_looked_at(seed: int, entities: int, count: int) -> None:
    answers = requests(seed, entities, 200)
    order = np.random.default_rng(seed).permutation(len(answers))  # labels arrive in any order
    answers["known_at"] = answers["known_at"].to_numpy()[order]
    by_then = answers.sort_values("known_at").head(count)

    looked_at, later = split_units(by_then), split_units(answers)

    pd.testing.assert_frame_equal(later.head(len(looked_at)), looked_at)


def test_going_over_is_as_probable_as_it_is_said_to_be() -> None:
    units = split_units(requests(3, 40_000, 400_000))

    for (percent, probability), some in units.groupby(["percent", "probability"]):
        expected = probability * len(some)
        spread = (expected * (1 - probability)) ** 0.5
        assert abs(some["challenger"].sum() - expected) <= 4 * spread + 1, (percent, probability)


def test_a_few_entities_that_always_fail_do_not_look_like_harm_of_the_challenger() -> None:
    """With each request as a witness, whichever arm the bad entities fell into would look guilty."""
    rollouts = [requests(seed, 150, 3_000, per_entity=0.9, steps=(50,)) for seed in range(100)]

    counted_once = [is_above(differences_of_split(split_units(each)), 0, 0.05) for each in rollouts]
    counted_always = [
        is_above(differences_of_split(split_units(each.assign(entity=range(len(each))))), 0, 0.05)
        for each in rollouts
    ]

    assert sum(counted_once) <= 12  # more would come once in a thousand times at alpha
    assert sum(counted_always) > 20


def test_harm_is_seen_with_entities_that_come_back() -> None:
    answers = requests(5, 3_000, 30_000)
    worse = answers["challenger"] & (np.random.default_rng(0).random(len(answers)) < 0.1)

    assert is_above(
        differences_of_split(split_units(answers.assign(outcome=answers["outcome"].where(~worse, 1.0)))),
        0,
        0.05,
    )


def test_labels_that_come_late_count_when_they_are_known() -> None:
    answers = pd.DataFrame(
        {
            "entity": ["ann", "ann", "bob"],
            "percent": [50, 50, 50],
            "challenger": [True, True, False],
            "outcome": [1.0, 0.0, 0.5],
            "known_at": pd.to_datetime(["2026-01-03", "2026-01-02", "2026-01-01"]),
        }
    )

    assert split_units(answers)["outcome"].tolist() == [0.5, 0.0]


def test_a_shadow_pairs_what_both_said_to_the_same_request() -> None:
    answers = pd.DataFrame(
        {
            "entity": ["ann", "bob", "ann"],
            "outcome": [0.3, 0.2, 0.9],
            "champion_outcome": [0.1, 0.4, 0.1],
            "known_at": pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03"]),
        }
    )

    assert differences_of_pairs(paired_units(answers)).estimate == pytest.approx([0.2, -0.2])
