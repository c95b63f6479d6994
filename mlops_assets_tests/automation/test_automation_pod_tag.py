"""Of what a run's tag asks of Kubernetes nothing is left that decides which code runs in the pod."""

import json
from typing import Any

import pytest
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import UserDefinedDagsterK8sConfig, get_user_defined_k8s_config
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.automation.pod_tag import POD_TAG, resources_only

PRODUCTION = {
    "container_config": {"env": [{"name": "MLOPS_SIGNING_KEY", "value_from": {}}]},
    "pod_spec_config": {"automount_service_account_token": False},
    "job_spec_config": {"backoff_limit": 0},
}
PARTS = ("container_config", "pod_spec_config", "job_spec_config", "pod_template_spec_metadata")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.text(max_size=5), inside, max_size=2),
    max_leaves=6,
)
FIELDS = st.dictionaries(
    st.sampled_from(["command", "args", "image", "env", "envFrom", "lifecycle", "securityContext"]), VALUES
)


def granted(asked: str) -> dict[str, Any]:
    """Return what Dagster's launcher adds to production's settings for a tag."""
    here = K8sContainerContext(run_k8s_config=UserDefinedDagsterK8sConfig.from_dict(PRODUCTION))
    tag = K8sContainerContext(run_k8s_config=get_user_defined_k8s_config({POD_TAG: resources_only(asked)}))
    return dict(here.merge(tag).run_k8s_config.to_dict())


@given(st.dictionaries(st.sampled_from(PARTS), FIELDS))
def test_nothing_but_resources_is_left(asked: dict[str, Any]) -> None:
    assert {part: granted(json.dumps(asked))[part] for part in PRODUCTION} == PRODUCTION


@pytest.mark.parametrize("behaviour", ["SHALLOW", "DEEP"])
def test_a_larger_pod_is_had(behaviour: str) -> None:
    large = {"resources": {"requests": {"cpu": "8"}, "limits": {"memory": "64Gi"}}}
    asked = {"container_config": {**large, "env": []}, "merge_behavior": behaviour}
    found = granted(json.dumps(asked))
    assert found["container_config"] == {**PRODUCTION["container_config"], **large}
    assert found["pod_spec_config"] == PRODUCTION["pod_spec_config"]


@pytest.mark.parametrize("asked", ["", "{", "[]", "null", '{"container_config": 3}', "[" * 100_000])
def test_what_is_no_such_tag_asks_for_nothing(asked: str) -> None:
    assert resources_only(asked) == "{}"
