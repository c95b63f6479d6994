"""What a window is judged by: the model, its version, and what that is held against."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TypeVar

from mlops_assets.errors import PackageError
from mlops_assets.monitoring.assessment.budget import Budget
from mlops_assets.monitoring.assessment.holdout import HoldoutRows
from mlops_assets.monitoring.performance.standard import FILE as STANDARD
from mlops_assets.monitoring.performance.standard import PerformanceStandard
from mlops_assets.monitoring.reference import FILE as REFERENCE
from mlops_assets.monitoring.reference import Reference
from mlops_assets.monitoring.service.cost import ProcessorTime
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Rules
from mlops_assets.training.manifest import Manifest

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Span:
    """The window that is looked at.

    Attributes:
        start: First event time, naive UTC.
        end: End, exclusive.
        as_of: When it is looked at; what is known later is not seen.
    """

    start: datetime
    end: datetime
    as_of: datetime

    def labels_due(self, delay: timedelta) -> datetime:
        """Return when all of its labels are to be known."""
        return self.end + delay


@dataclass(frozen=True)
class Subject:
    """A model and the version of it that is judged.

    Attributes:
        spec: The model's spec.
        rules: All that is demanded of it.
        version: Number of the version.
        manifest: Its manifest.
        content: Returns a signed file of its package by name; None if it has none of that name.
        holdout: Returns rows of the hold-out; asked only on an alarm.
        budget: False alarms that it may raise.
        deployed_at: Since when the version serves; None if nobody knows.
        processor: What its predictions take, as gate ``cost`` measured it; None if it did not.
    """

    spec: ModelSpec
    rules: Rules
    version: str
    manifest: Manifest
    content: Callable[[str], bytes | None]
    holdout: Callable[[], HoldoutRows]
    budget: Budget
    deployed_at: datetime | None = None
    processor: ProcessorTime | None = None

    def require_standards(self) -> None:
        """Read what it is held against, so that nothing is told of half of it.

        Raises:
            PackageError: It is missing or was altered.
        """
        _ = self.reference, self.standard

    @cached_property
    def reference(self) -> Reference | None:
        """What its inputs and predictions are held against; None in a package of before there was one."""
        return self._read(REFERENCE, Reference.from_bytes)

    @cached_property
    def standard(self) -> PerformanceStandard | None:
        """What its outcomes are held against; None likewise."""
        return self._read(STANDARD, PerformanceStandard.from_bytes)

    def _read(self, name: str, read: Callable[[bytes], _Read]) -> _Read | None:
        content = self.content(name)
        try:
            return None if content is None else read(content)
        except ValueError as error:
            raise PackageError(
                f"{name} of version {self.version}: {error}; run its lifecycle again"
            ) from error
