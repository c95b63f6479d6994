"""A prediction log that tests write to row by row."""

from collections.abc import Sequence
from pathlib import Path

from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.prediction import Label, Prediction
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.records import Answers
from mlops_assets.prediction_log.segment_writer import SegmentWriter

SECRET = bytes(range(32))


class WrittenLog(PredictionLog):
    """Reads a log and writes to it.

    Args:
        folder: The log's folder.
        secret: The log's secret.
    """

    def __init__(self, folder: Path, secret: bytes = SECRET) -> None:
        super().__init__(folder)
        self.recorder = Recorder(SegmentWriter(folder, "test", sync=lambda file: None), secret)

    def append(self, predictions: Sequence[Prediction]) -> None:
        """Write predictions."""
        for p in predictions:
            form = self.recorder.form(p.model, p.version, [*p.inputs])
            answers = Answers(
                base=p.prediction_id, served_at=microseconds(p.served_at), arm=p.arm, caller=p.caller,
                latency_us=round(p.latency_ms * 1000), probe=p.probe,
                event_times=[microseconds(p.event_time)], inputs=[[value] for value in p.inputs.values()],
                outputs=[p.output], entities=None if p.entity is None else [p.entity],
            )  # fmt: skip
            self.recorder.answers(form, answers)

    def append_labels(self, model: str, labels: Sequence[Label]) -> None:
        """Write labels."""
        items = [(x.prediction_id, x.label, microseconds(x.observed_at)) for x in labels]
        self.recorder.feedback(model, items)

    def close(self) -> None:
        """End what is written."""
        self.recorder.close()
