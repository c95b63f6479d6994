"""The rows that one version answered in a window, as arrays: what it said, when, and what came true."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.performance.labels import Labels, encode_labels
from mlops_assets.prediction_log.served_window import ServedWindow
from mlops_assets.prediction_log.typed_columns import plain
from mlops_assets.training.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Answers:
    """What a version answered, in the order of the log.

    Attributes:
        outputs: Shape (n,), or (n, classes).
        times: When each event happened; datetime64[us], naive UTC, shape (n,).
        labels: What came true, as far as it was known; its ``target`` has shape (n,).
        entities: Number of whom or what each row is about, -1 where nobody said; None if nobody ever did.
        kept: Which rows of the log these are: those whose prediction is one of this version's form.
    """

    outputs: "Array"
    times: "Array"
    labels: Labels
    entities: "Array | None"
    kept: "Array"

    def __len__(self) -> int:
        return len(self.outputs)

    def select(self, which: "Array") -> "Answers":
        """Return some of the rows, by truth values of shape (n,)."""
        kept = self.kept.copy()
        kept[kept] = which
        return Answers(
            self.outputs[which],
            self.times[which],
            Labels(self.labels.target[which]),
            None if self.entities is None else self.entities[which],
            kept,
        )


def answers_of(
    served: ServedWindow, manifest: Manifest, version: str, known_by: datetime, *, with_labels: bool = True
) -> Answers:
    """Return what a version answered in a window.

    Args:
        served: The window of the prediction log.
        manifest: The version's.
        version: Its number.
        known_by: Labels observed later are not seen.
        with_labels: Whether labels are asked for at all.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    known = served.labels(known_by) if with_labels else None
    among = None if known is None else pa.array(known["prediction_id"].combine_chunks())
    outputs, times, entities, places = [], [], [], []
    names = ["event_time", "entity", "output", *(["prediction_id"] if known is not None else [])]
    for batch in served.base(names, version=version):
        outputs.append(_numbers(batch["output"].combine_chunks(), len(manifest.classes), manifest.task))
        times.append(batch["event_time"].to_numpy())
        entities.append(batch["entity"])
        if known is not None:
            found = pc.index_in(batch["prediction_id"], value_set=among).combine_chunks()
            places.append(found.fill_null(-1).to_numpy(zero_copy_only=False))
    width = (0, len(manifest.classes)) if manifest.task == "multiclass_classification" else (0,)
    said = np.concatenate([np.empty(width), *outputs])
    kept = ~np.isnan(said).any(axis=1) if said.ndim > 1 else ~np.isnan(said)
    at = np.concatenate([np.empty(0, "datetime64[us]"), *times]).astype("datetime64[us]")
    place = np.concatenate([np.empty(0, "int64"), *places]) if known is not None else np.full(len(said), -1)
    return Answers(
        said[kept],
        at[kept],
        _labels(known, place[kept].astype("int64"), manifest),
        _entities(entities, kept),
        kept,
    )


def _labels(known: "pa.Table | None", place: "Array", manifest: Manifest) -> Labels:
    import numpy as np
    import pyarrow as pa

    if known is None or not len(known) or not len(place):
        return Labels(np.full(len(place), np.nan))
    there = pa.array(place, mask=place < 0)
    return encode_labels(known["value"].take(there), manifest.task, manifest.classes)


def _entities(found: "Sequence[pa.ChunkedArray]", kept: "Array") -> "Array | None":
    import numpy as np
    import pyarrow as pa

    if all(each.null_count == len(each) for each in found):
        return None
    every = pa.chunked_array([chunk for each in found for chunk in each.chunks])
    coded = every.combine_chunks().dictionary_encode()
    codes: np.ndarray[Any, Any] = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes[kept]


def _numbers(outputs: "pa.Array", classes: int, task: str) -> "Array":
    """Return predictions as numbers, NaN for one that is not of the version's form."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = len(outputs)
    if task != "multiclass_classification":
        if pa.types.is_floating(outputs.type) or pa.types.is_integer(outputs.type):
            return np.asarray(outputs.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype="float64")
        return np.array([_number(each) for each in plain(outputs)], dtype="float64")
    found = np.full((rows, classes), np.nan)
    if pa.types.is_list(outputs.type):
        whole = pc.fill_null(pc.equal(pc.list_value_length(outputs), classes), fill_value=False)
        right = outputs.filter(whole).flatten().to_numpy(zero_copy_only=False)
        found[whole.to_numpy(zero_copy_only=False)] = right.reshape(-1, classes)
        return found
    for place, row in enumerate(plain(outputs)):
        if isinstance(row, list) and len(row) == classes:
            found[place] = [_number(each) for each in row]
    return found


def _number(value: Any) -> float:
    ok = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if ok else float("nan")
