"""What the test of a killed bulk feedback kills: see ``test_kill_feedback.py``.

``python feedback_trial.py LOG PIECES`` takes each piece of a file of pieces of lines, as a gateway does, and
tells of each that it was taken.
"""

import sys
from pathlib import Path

from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.segment_writer import SegmentWriter
from mlops_assets.serving.bodies import Sent
from mlops_assets.serving.feedback import NDJSON, take_feedback
from mlops_assets.serving.table import Table

SECRET = bytes(range(32))
SEPARATOR = b"\n--\n"


def main(log: Path, pieces: Path) -> None:
    recorder = Recorder(SegmentWriter(log, "w", most_bytes=20_000), SECRET)
    for number, piece in enumerate(pieces.read_bytes().split(SEPARATOR)):
        take_feedback(recorder, Table(), "m", Sent(piece, NDJSON))
        print(number, flush=True)
    recorder.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
