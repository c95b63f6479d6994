"""What a packaged model says of itself: the file whose digest names the candidate."""

import json
from dataclasses import dataclass, field
from typing import Any

from mlops_assets import digests
from mlops_assets.errors import PackageError
from mlops_assets.specs.data_spec import Column, Entity
from mlops_assets.specs.tasks import Task
from mlops_assets.training.envelope import NUMBERS

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
_FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """What a packaged model says of itself.

    Attributes:
        model: Model name.
        task: What it predicts.
        inputs: Raw columns a request must carry.
        feature_names: Columns of the feature matrix, in order.
        feature_types: Their types, which the few rows of a request may not tell.
        feature_function: Name of the function in ``features.py``, or None.
        classes: Class labels in the order of the probabilities; empty for a regression.
        runtime: ``onnx`` or ``native``, and why.
        time_column: Raw or extra column that holds the event's time.
        target: Name of the predicted column.
        lineage: Digests and times that tell where the model comes from.
        files: Digest of every other file, by name.
        entity: What tells whom or what a row is about; None if nothing does.
        envelope: Lowest and highest value of each number column in the rows trained on; empty if not known.
    """

    model: str
    task: Task
    inputs: tuple[Column, ...]
    feature_names: tuple[str, ...]
    feature_types: dict[str, str]
    feature_function: str | None
    classes: tuple[Any, ...]
    runtime: str
    time_column: str
    target: str
    lineage: dict[str, str]
    files: dict[str, str] = field(default_factory=dict)
    entity: Entity | None = None
    envelope: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def takes_numbers(self) -> bool:
        """Whether the model takes its inputs as they are, and each is a number."""
        as_they_are = self.feature_names == tuple(column.name for column in self.inputs)
        numeric = all(column.type in NUMBERS for column in self.inputs)
        return numeric and as_they_are and self.feature_function is None

    def to_bytes(self) -> bytes:
        """Return the canonical JSON form, which is what gets signed."""
        value = {
            **vars(self),
            "format": _FORMAT,
            "inputs": [c.model_dump(mode="json") for c in self.inputs],
            "entity": self.entity and self.entity.model_dump(mode="json"),
        }
        if self.entity is None:  # as in packages of before there was one, whose digest names them
            del value["entity"]
        if not self.envelope:
            del value["envelope"]
        return digests.canonical_json(value)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Manifest":
        """Return the manifest that :meth:`to_bytes` wrote.

        Raises:
            PackageError: The format is unknown.
        """
        value = json.loads(content)
        if value.pop("format", None) != _FORMAT:
            raise PackageError("the packaged model has another format; retrain it with this version")
        value["inputs"] = tuple(Column.model_validate(c) for c in value["inputs"])
        if "entity" in value:
            value["entity"] = Entity.model_validate(value["entity"])
        value["envelope"] = {name: (low, high) for name, (low, high) in value.get("envelope", {}).items()}
        for name in ("feature_names", "classes"):
            value[name] = tuple(value[name])
        return cls(**value)
