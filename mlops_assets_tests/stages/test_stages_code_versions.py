"""A change of the spec is a new code version of the stages it affects, and of no others."""

from collections.abc import Callable
from typing import Any

import pytest

from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets_tests.whole_fleets import whole_fleet

MakeSpec = Callable[..., ModelSpec]

CHANGES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "the source": ({"data": {"source": {"type": "csv", "path": "x.csv"}}}, {"raw_data"}),
    "the window": ({"data": {"window": "90d"}}, {"raw_data"}),
    "the label delay": ({"data": {"label_delay": "1d"}}, {"raw_data"}),
    "the contract": ({"data": {"contract": {"min_rows": 7}}}, set()),
    "the features": ({"data": {"features": ["a"]}}, {"raw_data", "validated_features", "trained_model"}),
    "the feature function": (
        {"data": {"feature_function": "somewhere:compute"}},
        {"validated_features", "trained_model"},
    ),
    "parameters": ({"training": {"params": {"C": 0.1}}}, {"trained_model"}),
    "the seed": ({"training": {"seed": 1}}, {"trained_model"}),
    "the hold-out": ({"evaluation": {"holdout": "9d"}}, {"trained_model", "evaluation"}),
    "slices": ({"evaluation": {"slices": ["a"]}}, {"evaluation"}),
    "thresholds": ({"evaluation": {"thresholds": {"roc_auc": {"min": 0.6}}}}, set()),
    "monitoring": ({"monitoring": {"window": "week"}}, set()),
    "retraining": ({"retraining": {"cadence": "30d"}}, set()),
}


def code_versions(spec: ModelSpec) -> dict[str, str | None]:
    graph = whole_fleet(spec).resolve_asset_graph()
    return {n.key.path[-1]: n.code_version for n in graph.asset_nodes if n.key.path[0] == spec.name}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_a_new_code_version_of_what_it_affects(make_spec: MakeSpec, what: str) -> None:
    change, affected = CHANGES[what]
    before, after = code_versions(make_spec()), code_versions(make_spec(**change))
    changed = {stage for stage in before if before[stage] != after[stage]}
    # The report is about all of these, and training is not.
    watched = set() if "training" in change else {"monitoring_report"}
    assert changed == affected | watched


def test_another_task_is_another_training_and_evaluation(make_spec: MakeSpec) -> None:
    spec = make_spec(training={"estimator": "sklearn.dummy.DummyClassifier"})
    other = spec.model_copy(update={"task": "multiclass_classification"})
    before, after = code_versions(spec), code_versions(other)
    assert {s for s in before if before[s] != after[s]} >= {"trained_model", "evaluation"}


def test_words_about_the_model_change_no_stage(make_spec: MakeSpec) -> None:
    before = make_spec()
    after = before.model_copy(update={"purpose": "Stand for another team's model.", "risk": "high"})
    assert code_versions(before) == code_versions(after)
