"""What a run's tag may ask for of the pod it runs in: how much of the machine, and nothing else.

Dagster's launcher for Kubernetes takes from that tag whatever Kubernetes knows: the command, the image,
further containers. Whoever may launch a run writes its tags, and a run's pod holds the platform's key.
"""

import json
from typing import Any

POD_TAG = "dagster-k8s/config"


def resources_only(asked: str) -> str:
    """Return what a tag asks for, without all that is no amount of processor, memory or the like.

    Args:
        asked: The tag, JSON; what is none asks for nothing.
    """
    try:
        resources = _of(_of(json.loads(asked), "container_config"), "resources")
    except (ValueError, RecursionError):
        resources = None
    return json.dumps({"container_config": {"resources": resources}} if resources else {}, sort_keys=True)


def _of(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None
