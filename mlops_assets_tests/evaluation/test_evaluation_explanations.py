"""The gate explanations: what predictions rest on, and whether that is what they used to rest on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neighbors import KNeighborsClassifier

from mlops_assets.evaluation.explanations import importances, measure_explanations
from mlops_assets.evaluation.holdout import Holdout
from mlops_assets.specs.gate_rules import ExplanationRules
from mlops_assets.verdict import Figure, Measurement, judge

RULES = ExplanationRules(required=True, max_top_share=0.9, min_stability=0.2)
NAMES = ("a", "b", "c", "d", "e")


def rows_that_follow(**weights: float) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(generator.normal(size=(1_000, len(NAMES))), columns=list(NAMES))
    score = sum(weight * rows[name] for name, weight in weights.items())
    return rows.assign(
        t=pd.date_range("2024-01-01", periods=1_000, freq="h"),
        y=(score + 0.3 * generator.normal(size=1_000) > 0).astype(int),
    )


@pytest.fixture
def make_holdout(make_spec: Any, make_package: Any) -> Callable[..., Holdout]:
    """Return a maker of hold-outs of a model with five features, or those named."""

    def make(rows: pd.DataFrame, names: tuple[str, ...] = NAMES, estimator: Any = None) -> Holdout:
        spec = make_spec(data={"features": list(names)})
        if estimator is not None:
            older = rows.head(500)
            estimator = estimator.fit(older[list(names)].astype("float32"), older["y"])
        package = make_package(spec, rows, estimator=estimator)
        return Holdout(spec, package, rows.tail(500).reset_index(drop=True))

    return make


def figures(found: Measurement) -> dict[str, Figure]:
    return {figure.name: figure for figure in found.figures}


@pytest.mark.parametrize(
    ("estimator", "method"),
    [
        (None, "linear model"),
        (HistGradientBoostingClassifier(max_iter=30, random_state=0), "TreeSHAP"),
        (KNeighborsClassifier(20), "values are exchanged"),
    ],
)
def test_importances_tell_what_the_target_follows(estimator: Any, method: str, make_holdout: Any) -> None:
    holdout = make_holdout(rows_that_follow(a=2, b=1), estimator=estimator)
    found = importances(holdout.package, holdout.rows)
    assert list(found.shares)[:2] == ["a", "b"]
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.shares["a"] > 0.4 > 0.15 > found.shares["c"]
    assert method in found.method


def test_a_model_that_rests_on_one_feature_fails_and_one_that_rests_on_more_passes(make_holdout: Any) -> None:
    alone, more = (
        measure_explanations(make_holdout(rows_that_follow(**weights)), RULES, None)
        for weights in ({"a": 3}, {"a": 2, "b": 1.5, "c": 1})
    )
    assert figures(alone)["top_share"].value > 0.9
    assert judge(alone, RULES).breaches[0].says.startswith("top_share")
    assert alone.findings[0]["feature"] == figures(alone)["top_share"].note == "a"
    assert judge(more, RULES).passed


def test_without_a_champion_stability_is_no_breach_and_says_why(make_holdout: Any) -> None:
    found = measure_explanations(make_holdout(rows_that_follow(a=2, b=1)), RULES, None)
    assert judge(found, RULES).passed
    assert "no champion" in figures(found)["stability"].note


def test_a_candidate_that_rests_on_other_things_than_the_champion_fails(make_holdout: Any) -> None:
    candidate = make_holdout(rows_that_follow(a=5, b=4, c=3, d=2, e=1))
    alike = make_holdout(
        rows_that_follow(a=5, b=4, c=3, d=2, e=1), estimator=HistGradientBoostingClassifier()
    )
    other = make_holdout(rows_that_follow(a=1, b=2, c=3, d=4, e=5))
    assert judge(measure_explanations(candidate, RULES, alike.package), RULES).passed
    found = measure_explanations(candidate, RULES, other.package)
    assert figures(found)["stability"].value == pytest.approx(-1)
    assert [breach.figure for breach in judge(found, RULES).breaches] == ["stability"]
    assert {"feature", "share", "champion_share"} == set(found.findings[0])


def test_a_champion_of_other_columns_cannot_be_compared_and_is_no_breach(make_holdout: Any) -> None:
    champion = make_holdout(rows_that_follow(a=2, b=1)).package
    holdout = make_holdout(rows_that_follow(a=2, b=1), names=("a", "b", "c"))
    newer = holdout.rows.drop(columns=["d", "e"])
    found = measure_explanations(Holdout(holdout.spec, holdout.package, newer), RULES, champion)
    assert judge(found, RULES).passed
    assert figures(found)["stability"].note


def test_of_two_features_one_may_have_nearly_everything(make_holdout: Any) -> None:
    found = measure_explanations(make_holdout(rows_that_follow(a=3), names=("a", "b")), RULES, None)
    assert found.not_applicable
    assert judge(found, RULES).passed


def test_a_model_that_nothing_moves_fails(make_holdout: Any) -> None:
    found = measure_explanations(
        make_holdout(rows_that_follow(a=1), estimator=DummyClassifier()), RULES, None
    )
    assert "no feature moves predictions" in judge(found, RULES).summary


def test_the_same_candidate_is_measured_the_same_twice(make_holdout: Any) -> None:
    holdout = make_holdout(rows_that_follow(a=2, b=1), estimator=KNeighborsClassifier(20))
    assert measure_explanations(holdout, RULES, None) == measure_explanations(holdout, RULES, None)
