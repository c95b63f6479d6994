"""A prediction log beside a plain list of what was said to it, and what a reader must find of that."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.prediction_ids import PredictionIds, row_id
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.records import LABEL, SHADOW, Answers, Failure
from mlops_assets.prediction_log.segment_writer import SegmentWriter

SECRET = bytes(range(32))
T0 = datetime(2024, 1, 1)
FOREVER = datetime(2100, 1, 1)


def hour(n: float) -> datetime:
    return T0 + timedelta(hours=n)


def at(n: float) -> int:
    return microseconds(hour(n))


@dataclass(frozen=True)
class Served:
    id: str
    model: str
    time: int
    arm: str
    probe: bool
    entity: str | None
    inputs: dict[str, Any]
    output: Any


@dataclass(frozen=True)
class Said:
    """Feedback, by prediction id or by entity and time."""

    model: str
    kind: str
    value: Any
    observed: int
    order: int
    id: str | None = None
    entity: str | None = None
    time: int = 0


@dataclass
class History:
    """Writes to a log, and remembers."""

    folder: Path
    served: list[Served] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    failures: list[tuple[str, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ids = PredictionIds(SECRET)
        self._begin()

    def _begin(self) -> None:
        self.writer = SegmentWriter(self.folder, "w", sync=lambda file: None)
        self.recorder = Recorder(self.writer, SECRET)

    def rotate(self) -> None:
        """End the segment and go on in another, as a gateway that is started anew."""
        self.writer.close()
        self._begin()

    def close(self) -> None:
        self.writer.close()

    def answer(
        self,
        times: list[float] | None = None,
        *,
        model: str = "m",
        version: str = "1",
        arm: str = "champion",
        probe: bool = False,
        entities: list[str] | None = None,
        served_at: float = 0,
        columns: dict[str, list[Any]] | None = None,
        outputs: list[Any] | None = None,
        base: str | None = None,
    ) -> list[str]:
        """Answer a request with a row for each time; return the prediction ids."""
        count = 1 if times is None else len(times)
        columns = (
            {"a": [1.5] * count, "s": ["é"] * count, "gap": [None] * count} if columns is None else columns
        )
        outputs = [0.25 + row / 100 for row in range(count)] if outputs is None else outputs
        base = base or self.ids.new(model)
        form = self.recorder.form(model, version, list(columns))
        events = None if times is None else [at(t) for t in times]
        self.recorder.answers(
            form,
            Answers(
                base, at(served_at), arm, "me", 3000, probe, events, [*columns.values()], outputs, entities
            ),
        )
        ids = [row_id(base, row) for row in range(count)]
        for row, identity in enumerate(ids):
            self.served.append(
                Served(
                    identity, model, at(served_at) if events is None else events[row], arm, probe,
                    entities[row] if entities else None,
                    {name: values[row] for name, values in columns.items()}, outputs[row],
                )
            )  # fmt: skip
        return ids

    def label(self, *items: tuple[str, Any, float], model: str = "m", kind: str = LABEL) -> None:
        """Say what turned out to be true for predictions: id, value, hour when it was observed."""
        self.recorder.feedback(model, [(i, v, at(o)) for i, v, o in items], kind)
        for i, v, o in items:
            self.said.append(Said(model, kind, v, at(o), len(self.said), id=i))

    def label_entity(
        self, *items: tuple[str, float, Any, float], model: str = "m", kind: str = LABEL
    ) -> None:
        """Say what turned out to be true for entities: entity, hour, value, hour when it was observed."""
        self.recorder.entity_feedback(model, [(e, at(t), v, at(o)) for e, t, v, o in items], kind)
        for e, t, v, o in items:
            self.said.append(Said(model, kind, v, at(o), len(self.said), entity=e, time=at(t)))

    def fail(self, status: int, time: float, model: str = "m") -> None:
        """Refuse a request, or fail on it."""
        self.recorder.failure(Failure(model, at(time), status, "bad", "me"))
        self.failures.append((model, at(time), status))

    def expected(
        self,
        model: str,
        start: float,
        end: float,
        known_by: float,
        *,
        arm: str | None = None,
        kind: str = LABEL,
    ) -> list[tuple[str, int, Any, dict[str, Any], Any]]:
        """Return what a window must hold: id, time, output, inputs, value."""
        seen = [
            s for s in self.served
            if s.model == model and not s.probe and (s.arm == arm if arm else s.arm != SHADOW)
        ]  # fmt: skip
        rows = sorted((s for s in seen if at(start) <= s.time < at(end)), key=lambda s: (s.time, s.id))
        return [(s.id, s.time, s.output, s.inputs, self._value(s, kind, known_by)) for s in rows]

    def _value(self, served: Served, kind: str, known_by: float) -> Any:
        said = self.last_said(served, kind, known_by)
        return said and said.value

    def last_said(self, served: Served, kind: str, known_by: float) -> Said | None:
        """Return what counts of all that was said of a prediction."""
        shadow = served.arm == SHADOW
        about = [
            said for said in self.said
            if said.model == served.model and said.kind == kind and said.observed <= at(known_by)
            and served.id == (self._newest(said, shadow) if said.entity else said.id)
        ]  # fmt: skip
        return max(about, key=lambda said: (said.observed, said.order), default=None)

    def _newest(self, said: Said, shadow: bool) -> str | None:
        """Return the prediction that an entity's feedback belongs to."""
        candidates = [
            s for s in self.served
            if s.model == said.model and s.entity == said.entity and s.time <= said.time and not s.probe
            and (s.arm == SHADOW) == shadow
        ]  # fmt: skip
        return max(candidates, key=lambda s: (s.time, s.id)).id if candidates else None
