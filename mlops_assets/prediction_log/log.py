"""The prediction log as one history: Parquet files and the segments that are not in them yet."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.home import storage_errors
from mlops_assets.prediction_log.arms import rollout_answers
from mlops_assets.prediction_log.catalogue import Catalogue
from mlops_assets.prediction_log.compaction import forget, unchanged
from mlops_assets.prediction_log.input_columns import OUTPUT, rows_of
from mlops_assets.prediction_log.instants import instant, microseconds
from mlops_assets.prediction_log.joining import of_each
from mlops_assets.prediction_log.prediction import Label, Prediction
from mlops_assets.prediction_log.prediction_ids import asked_at
from mlops_assets.prediction_log.reading import Reading, seen
from mlops_assets.prediction_log.records import LABEL, SHADOW
from mlops_assets.prediction_log.segments import Loss
from mlops_assets.prediction_log.served_window import ServedWindow
from mlops_assets.prediction_log.tables import FAILURES, FEEDBACK, PREDICTIONS, from_json
from mlops_assets.prediction_log.typed_columns import plain

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

_EVER = datetime(9999, 12, 31)


@dataclass(frozen=True)
class Written:
    """Some rows that were served.

    Attributes:
        first: Time of the first event, naive UTC.
        last: Time of the last event.
        at: When the last of them was written.
    """

    first: datetime
    last: datetime
    at: datetime


class PredictionLog:
    """Reads the log while gateways write it; safe to share between threads and processes.

    Args:
        folder: The log's folder; a log that nobody wrote to is empty.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._catalogue = Catalogue(folder)

    def window(
        self,
        model: str,
        start: datetime,
        end: datetime,
        known_by: datetime,
        *,
        arm: str | None = None,
        kinds: Sequence[str] = (LABEL,),
    ) -> "pd.DataFrame":
        """Return what was served for events in a window, with what was known of them by a time.

        Args:
            model: Model name.
            start: First event time, inclusive.
            end: Last event time, exclusive.
            known_by: Feedback observed after this is not seen: a report as of a time in the past
                gives the same figures for ever.
            arm: Only answers of this arm; those of all that callers saw if None.
            kinds: Kinds of feedback; each is a column of its name.

        Returns:
            One row a prediction, probes left out, by event time: ``prediction_id``, ``version``,
            ``event_time``, ``latency_ms``, ``output``, ``inputs``, the row as it was sent, ``arm``, and for
            each of ``kinds`` the value (None if not known). Of several, the one observed last counts.

        Raises:
            StorageError: The log cannot be read.
        """
        import pandas as pd
        import pyarrow as pa
        import pyarrow.compute as pc

        first, last = microseconds(start), microseconds(end)
        own = ("prediction_id", "version", "event_time", "latency_us", "arm")
        pieces, outputs, inputs = [PREDICTIONS.schema().empty_table().select(own)], [], []
        with self._reading(model) as reading:
            for _, piece in reading.predictions(
                seen(arm), ("probe", "arm"), (*own, OUTPUT), since=first, before=last
            ):
                pieces.append(piece.select(own))
                outputs += plain(piece[OUTPUT])
                inputs += rows_of(piece)
            served = pa.concat_tables(pieces)
            order = pc.sort_indices(served, [("event_time", "ascending"), ("prediction_id", "ascending")])
            served, places = served.take(order), order.to_pylist()
            known = {
                kind: reading.known(served["prediction_id"], kind, first, known_by, shadow=arm == SHADOW)
                for kind in kinds
            }
        latency = pc.divide(served["latency_us"].cast(pa.float64()), 1000.0)
        return pd.DataFrame(
            {
                "prediction_id": served["prediction_id"].to_pylist(),
                "version": served["version"].to_pylist(),
                "event_time": served["event_time"].to_pandas(),
                "latency_ms": latency.to_numpy(),
                "output": [outputs[place] for place in places],
                "inputs": [inputs[place] for place in places],
                "arm": served["arm"].to_pylist(),
                **{kind: of_each(served["prediction_id"], last)[0] for kind, last in known.items()},
            }
        )

    @contextmanager
    def served(self, model: str, start: datetime, end: datetime) -> Iterator[ServedWindow]:
        """Open what callers were answered for events in a window, to be read column by column.

        As long as it is open nothing is compacted or forgotten. Gateways go on writing.

        Args:
            model: Model name.
            start: First event time, inclusive.
            end: Last event time, exclusive.

        Raises:
            StorageError: The log cannot be read.
        """
        with self._reading(model) as reading:
            yield ServedWindow(reading, microseconds(start), microseconds(end))

    def rollout(
        self,
        model: str,
        challenger: str,
        percents: Mapping[int, int],
        since: datetime,
        known_by: datetime,
        *,
        kpi: str | None = None,
        columns: Sequence[str] = (),
    ) -> "pd.DataFrame":
        """Return what both arms of a rollout answered or failed on; see :func:`rollout_answers`.

        Raises:
            StorageError: The log cannot be read.
        """
        with self._reading(model) as reading:
            return rollout_answers(reading, challenger, percents, since, known_by, kpi=kpi, columns=columns)

    def written(self, since: datetime) -> dict[str, list[Written]]:
        """Return by model when what was served for events since a time was written, in one query.

        What no compaction has put into files yet is not in it.

        Args:
            since: Time of the first event, naive UTC.
        """
        found: dict[str, list[Written]] = {}
        for model, *times, _ in self._catalogue.written(PREDICTIONS.name, microseconds(since)):
            found.setdefault(model, []).append(Written(*map(instant, times)))
        return found

    def feedback_written(self, since: datetime) -> dict[str, list[Written]]:
        """Return by model when feedback that was observed since a time was written, in one query.

        What no compaction has put into files yet is not in it, nor what came by entity.

        Args:
            since: Time of the first observation, naive UTC.

        Returns:
            ``first`` is when the oldest of the predictions was asked for, ``last`` the last observation.
        """
        found: dict[str, list[Written]] = {}
        for model, _, last, at, first_id in self._catalogue.written(FEEDBACK.name, microseconds(since)):
            asked = asked_at(first_id or "")
            if asked is not None:
                found.setdefault(model, []).append(Written(*map(instant, (asked, last, at))))
        return found

    def rows(self, model: str, start: datetime, end: datetime) -> int:
        """Return how many predictions callers were given for events in a window.

        Raises:
            StorageError: The log cannot be read.
        """
        with self.served(model, start, end) as window:
            return window.rows

    def failures(
        self, model: str, start: datetime, end: datetime
    ) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
        """Return the requests to a model that were not answered, between two arrival times.

        Returns:
            When each arrived, datetime64[us]; and its status.

        Raises:
            StorageError: The log cannot be read.
        """
        with self._reading(model) as reading:
            rows = reading.rows(FAILURES, since=microseconds(start), before=microseconds(end))
        return rows["occurred_at"].to_numpy().astype("datetime64[us]"), rows["status"].to_numpy()

    def has_answered(self, model: str) -> bool:
        """Return whether a model ever answered, as far as the log goes back."""
        if self._catalogue.files(PREDICTIONS.name, model):
            return True
        with self._reading(model) as reading:
            return len(reading.rows(PREDICTIONS)) > 0

    def models(self) -> list[str]:
        """Return the names of all models that have answered."""
        with self._reading(None) as reading:
            recent = {part.model for part in reading.recent if part.table == PREDICTIONS.name}
            return sorted(recent | self._catalogue.models(PREDICTIONS.name))

    def find(self, prediction_id: str) -> Prediction | None:
        """Return the prediction that a caller was given, or None if it was never made or is forgotten."""
        with self._reading(None) as reading:
            return _found(reading, prediction_id)

    def bases(self, model: str, first: str, last: str) -> set[str]:
        """Return which ids from one to another name a logged request, that is, its first row.

        Args:
            model: Model name.
            first: The lowest id.
            last: The highest.
        """
        import pyarrow.compute as pc

        identity = pc.field("prediction_id")
        wanted = (identity >= first) & (identity <= last) & ~pc.match_substring(identity, "-")
        with self._reading(model) as reading:
            return set(reading.rows(PREDICTIONS, ids=(first, last), only=wanted)["prediction_id"].to_pylist())

    def answers(self, model: str, ids: Collection[str]) -> dict[str, tuple[str, Any]]:
        """Return which of some prediction ids are logged, with the version that answered and its prediction.

        Raises:
            StorageError: The log cannot be read.
        """
        import pyarrow.compute as pc

        if not ids:
            return {}
        wanted = pc.field("prediction_id").isin(list(ids)) & (pc.field("arm") != SHADOW)
        found: dict[str, tuple[str, Any]] = {}
        with self._reading(model) as reading:
            for _, piece in reading.predictions(
                wanted, ("prediction_id", "arm"), ("version", OUTPUT), inputs=(), ids=(min(ids), max(ids))
            ):
                answered = zip(piece["version"].to_pylist(), plain(piece[OUTPUT]), strict=True)
                found.update(zip(piece["prediction_id"].to_pylist(), answered, strict=True))
        return found

    def find_with_label(self, prediction_id: str) -> tuple[Prediction, Label | None] | None:
        """Return a prediction as :meth:`find` does, and what is known by now to be true for it."""
        import pyarrow as pa

        with self._reading(None) as reading:
            prediction = _found(reading, prediction_id)
            if prediction is None:
                return None
            since = microseconds(prediction.event_time)
            known = reading.of(prediction.model).known(
                pa.chunked_array([[prediction_id]]), LABEL, since, _EVER, shadow=False
            )
        for label in known.to_pylist():
            return prediction, Label(prediction_id, from_json(label["value"]), label["observed_at"])
        return prediction, None

    def label(self, prediction_id: str) -> Label | None:
        """Return what turned out to be true for a prediction, as it is known now."""
        found = self.find_with_label(prediction_id)
        return found and found[1]

    def losses(self) -> list[Loss]:
        """Return what of the log is damaged and cannot be read."""
        with self._reading(None) as reading:
            return [*self._catalogue.losses(), *reading.losses]

    def forget(self, model: str, before: datetime) -> int:
        """Delete a model's Parquet files in which all was written before a time; return how many rows.

        Raises:
            StorageError: The log cannot be written.
        """
        return forget(self._folder, model, microseconds(before)) if self._folder.is_dir() else 0

    @contextmanager
    def _reading(self, model: str | None) -> Iterator[Reading]:
        with storage_errors(self._folder):
            if not self._folder.is_dir():
                yield Reading(self._folder, self._catalogue, model)
                return
            with unchanged(self._folder):
                yield Reading(self._folder, self._catalogue, model)


def _found(reading: Reading, prediction_id: str) -> Prediction | None:
    import pyarrow.compute as pc

    if not prediction_id.isascii():  # a terminal of another encoding: no answer ever gave that
        return None
    wanted = (pc.field("prediction_id") == prediction_id) & (pc.field("arm") != SHADOW)
    ids = prediction_id, prediction_id
    columns = (*PREDICTIONS.columns, OUTPUT)
    for model, found in reading.predictions(wanted, ("prediction_id", "arm"), columns, ids=ids):
        return _prediction(model, found.slice(0, 1))
    return None


def _prediction(model: str, found: "pa.Table") -> Prediction:
    (row,) = found.select([*PREDICTIONS.columns]).to_pylist()
    (inputs,), (output,) = rows_of(found), plain(found[OUTPUT])
    return Prediction(
        prediction_id=row["prediction_id"],
        model=model,
        version=row["version"],
        event_time=row["event_time"],
        served_at=row["served_at"],
        inputs=inputs,
        output=output,
        latency_ms=row["latency_us"] / 1000,
        probe=row["probe"],
        arm=row["arm"],
        caller=row["caller"],
        entity=row["entity"],
        traffic=row["traffic"] or 0,
    )
