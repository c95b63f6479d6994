"""What of the environment tests must not see."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def nothing_declared() -> Iterator[None]:
    """Forget which registry, keys and databases whoever runs the tests has declared."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "MLFLOW_TRACKING_URI",
            "MLOPS_SIGNING_KEY",
            "MLOPS_VERIFY_KEY",
            "MLOPS_STATE_URL",
            "MLOPS_AUDIT_CHECKPOINTS",
        ):
            patch.delenv(name, raising=False)
        yield
