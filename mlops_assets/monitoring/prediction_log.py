"""The durable prediction log: what was asked, what was answered, and what turned out to be true.

SQLite in WAL mode: a record is on disk before its answer leaves, survives a kill at any moment, and
can be read while the gateway writes.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import StorageError
from mlops_assets.home import storage_errors, storage_failure_in

if TYPE_CHECKING:
    import pandas as pd

_SCHEMA = """
CREATE TABLE IF NOT EXISTS predictions (
    prediction_id TEXT PRIMARY KEY,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    event_time TEXT NOT NULL,
    served_at TEXT NOT NULL,
    inputs TEXT NOT NULL,
    output TEXT NOT NULL,
    latency_ms REAL NOT NULL,
    probe INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS predictions_by_time ON predictions (model, event_time);
CREATE TABLE IF NOT EXISTS labels (
    id INTEGER PRIMARY KEY,
    prediction_id TEXT NOT NULL,
    label TEXT NOT NULL,
    observed_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS labels_by_prediction ON labels (prediction_id, observed_at);
CREATE TABLE IF NOT EXISTS errors (
    id INTEGER PRIMARY KEY,
    model TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    status INTEGER NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS errors_by_time ON errors (model, occurred_at);
"""

_PATIENCE_SECONDS = 30.0

# With these statuses the gateway answers requests whose input was valid: the model has no answer for
# the rows, or something of ours broke. All other refusals are about the request.
MODEL_FAILED = (422, 500)


@dataclass(frozen=True)
class Prediction:
    """One row's answer.

    Attributes:
        prediction_id: Names the row's answer for ever.
        model: Model name.
        version: Version that answered.
        event_time: When the event happened, naive UTC: the row's time column, else the arrival.
        served_at: When the answer was made, naive UTC.
        inputs: The row as the client sent it.
        output: The prediction: a probability, a list of probabilities or a value.
        latency_ms: Time from the whole request's arrival to its answer, milliseconds; one figure for all
            rows of a request.
        probe: Whether the platform itself asked (smoke test, parity), which monitoring leaves out.
    """

    prediction_id: str
    model: str
    version: str
    event_time: datetime
    served_at: datetime
    inputs: dict[str, Any]
    output: Any
    latency_ms: float
    probe: bool = False


@dataclass(frozen=True)
class Label:
    """What turned out to be true for one prediction, and when that was known (naive UTC)."""

    prediction_id: str
    label: Any
    observed_at: datetime


class PredictionLog:
    """Append-only log of predictions, labels and refused requests; safe to share between threads.

    Raises:
        StorageError: The file cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()
        with self._storage_errors():
            self._connection = sqlite3.connect(path, timeout=_PATIENCE_SECONDS, check_same_thread=False)
            _keep_in_wal(self._connection)
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_SCHEMA)

    def append(self, predictions: Sequence[Prediction]) -> None:
        """Write predictions; they are on disk when this returns."""
        rows = [
            (
                p.prediction_id,
                p.model,
                p.version,
                p.event_time.isoformat(),
                p.served_at.isoformat(),
                json.dumps(p.inputs),
                json.dumps(p.output),
                p.latency_ms,
                int(p.probe),
            )
            for p in predictions
        ]
        with self._transaction() as connection:
            connection.executemany("INSERT INTO predictions VALUES (?,?,?,?,?,?,?,?,?)", rows)

    def append_labels(self, model: str, labels: Sequence[Label]) -> list[str]:
        """Write labels; a later label of the same prediction corrects the earlier one.

        Returns:
            The prediction ids this model never answered with; their labels are not written.
        """
        with self._transaction() as connection:
            unknown = [
                label.prediction_id
                for label in labels
                if connection.execute(
                    "SELECT 1 FROM predictions WHERE prediction_id = ? AND model = ?",
                    (label.prediction_id, model),
                ).fetchone()
                is None
            ]
            refused = set(unknown)
            connection.executemany(
                "INSERT INTO labels (prediction_id, label, observed_at) VALUES (?,?,?)",
                [
                    (x.prediction_id, json.dumps(x.label), x.observed_at.isoformat())
                    for x in labels
                    if x.prediction_id not in refused
                ],
            )
        return unknown

    def append_error(self, model: str, occurred_at: datetime, status: int, message: str) -> None:
        """Write that a request was refused, or that the model failed on it; the status tells which."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO errors (model, occurred_at, status, message) VALUES (?,?,?,?)",
                (model, occurred_at.isoformat(), status, message),
            )

    def window(self, model: str, start: datetime, end: datetime, known_by: datetime) -> "pd.DataFrame":
        """Return what was served for events in a window, with the labels known by a time.

        Args:
            model: Model name.
            start: First event time, inclusive.
            end: Last event time, exclusive.
            known_by: Labels observed after this are not seen: a report as of a time in the past
                gives the same figures for ever.

        Returns:
            One row a prediction, probes left out: ``prediction_id``, ``version``, ``event_time``,
            ``latency_ms``, ``output``, ``label`` (None if not known), and ``inputs``, the row as it
            was sent.
        """
        import pandas as pd

        query = """
            SELECT p.prediction_id, p.version, p.event_time, p.latency_ms, p.output, p.inputs,
                   (SELECT l.label FROM labels l
                     WHERE l.prediction_id = p.prediction_id AND l.observed_at <= ?
                     ORDER BY l.observed_at DESC, l.id DESC LIMIT 1) AS label
              FROM predictions p
             WHERE p.model = ? AND p.event_time >= ? AND p.event_time < ? AND p.probe = 0
             ORDER BY p.event_time, p.prediction_id
        """
        bounds = (known_by.isoformat(), model, start.isoformat(), end.isoformat())
        with self._lock, self._storage_errors():
            fetched = self._connection.execute(query, bounds).fetchall()
        records = [
            {
                "prediction_id": prediction_id,
                "version": version,
                "event_time": datetime.fromisoformat(event_time),
                "latency_ms": latency,
                "output": json.loads(output),
                "label": None if label is None else json.loads(label),
                "inputs": json.loads(inputs),
            }
            for prediction_id, version, event_time, latency, output, inputs, label in fetched
        ]
        return pd.DataFrame.from_records(records)

    def errors(self, model: str, start: datetime, end: datetime) -> int:
        """Return how many requests with valid input a model failed on, between two arrival times."""
        counts = self._statuses(model, start, end)
        return sum(count for status, count in counts if status in MODEL_FAILED)

    def refused(self, model: str, start: datetime, end: datetime) -> int:
        """Return how many requests to a model were themselves wrong, between two arrival times."""
        counts = self._statuses(model, start, end)
        return sum(count for status, count in counts if status not in MODEL_FAILED)

    def _statuses(self, model: str, start: datetime, end: datetime) -> list[tuple[int, int]]:
        query = """
            SELECT status, count(*) FROM errors
             WHERE model = ? AND occurred_at >= ? AND occurred_at < ? GROUP BY status
        """
        with self._lock, self._storage_errors():
            return self._connection.execute(query, (model, start.isoformat(), end.isoformat())).fetchall()

    def has_answered(self, model: str) -> bool:
        """Return whether a model ever answered."""
        query = "SELECT EXISTS (SELECT 1 FROM predictions WHERE model = ?)"
        with self._lock, self._storage_errors():
            return bool(self._connection.execute(query, (model,)).fetchone()[0])

    def find(self, prediction_id: str) -> Prediction | None:
        """Return one prediction, or None if it was never made."""
        found = self._one("SELECT * FROM predictions WHERE prediction_id = ?", prediction_id)
        if found is None:
            return None
        identity, model, version, event_time, served_at, inputs, output, latency_ms, probe = found
        return Prediction(
            prediction_id=identity,
            model=model,
            version=version,
            event_time=datetime.fromisoformat(event_time),
            served_at=datetime.fromisoformat(served_at),
            inputs=json.loads(inputs),
            output=json.loads(output),
            latency_ms=latency_ms,
            probe=bool(probe),
        )

    def label(self, prediction_id: str) -> Label | None:
        """Return what turned out to be true for a prediction, as it is known now."""
        query = """
            SELECT label, observed_at FROM labels
             WHERE prediction_id = ? ORDER BY observed_at DESC, id DESC LIMIT 1
        """
        found = self._one(query, prediction_id)
        if found is None:
            return None
        return Label(prediction_id, json.loads(found[0]), datetime.fromisoformat(found[1]))

    def _one(self, query: str, prediction_id: str) -> Any:
        try:
            with self._lock, self._storage_errors():
                return self._connection.execute(query, (prediction_id,)).fetchone()
        except UnicodeEncodeError:  # a terminal of another encoding: no answer ever gave that
            return None

    def models(self) -> Iterable[str]:
        """Return the names of all models that have answered."""
        with self._lock, self._storage_errors():
            return [m for (m,) in self._connection.execute("SELECT DISTINCT model FROM predictions")]

    def close(self) -> None:
        """Close the file; the log must not be used afterwards."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._storage_errors(), self._connection:
            yield self._connection

    @contextmanager
    def _storage_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            reason = storage_failure_in(str(error)) or error
            raise StorageError(f"prediction log {self._path}: {reason}") from error


def _keep_in_wal(connection: sqlite3.Connection) -> None:
    """Put a file into WAL mode, where it stays; of processes that begin together only one can."""
    patience = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # SQLite's own waiting does not cover this change.
            if "locked" not in str(error) or time.monotonic() > patience:
                raise
            time.sleep(0.01)
