"""What is sensitive never reaches the log's files."""

from pathlib import Path

from mlops_assets.prediction_log.prediction_ids import PredictionIds
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.records import Answers
from mlops_assets.prediction_log.segment_writer import SegmentWriter
from mlops_assets.prediction_log.sensitive import ColumnTreatment, Pseudonyms

from mlops_assets.prediction_log.log import PredictionLog  # isort: skip

SECRET = bytes(range(32))


def test_equal_values_have_equal_pseudonyms_that_tell_nothing_without_the_secret() -> None:
    pseudonyms = Pseudonyms(SECRET)
    assert pseudonyms.of("zip", "1234") == Pseudonyms(SECRET).of("zip", "1234")
    assert pseudonyms.of("zip", 7) == pseudonyms.of("zip", 7.0)
    others = [
        pseudonyms.of("zip", "1234"), pseudonyms.of("zip", 1234), pseudonyms.of("zip", "1235"),
        pseudonyms.of("plz", "1234"), Pseudonyms(bytes(32)).of("zip", "1234"),
        pseudonyms.of("zip", 2**53), pseudonyms.of("zip", 2**53 + 1), pseudonyms.of("zip", 7.5),
    ]  # fmt: skip
    assert len(set(others)) == len(others)
    assert pseudonyms.of("zip", None) is None


def test_columns_that_are_kept_are_not_copied() -> None:
    values = [[1], [2]]
    assert ColumnTreatment(("a", "b"), {"a": "keep"}, Pseudonyms(SECRET)).applied(values) is values


def test_a_dropped_column_and_a_hashed_value_are_in_no_file(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "w")
    recorder, now = Recorder(writer, SECRET), 1_700_000_000_000_000
    form = recorder.form("m", "1", ["name", "age", "diagnosis"], {"name": "hash", "diagnosis": "drop"})
    inputs = [["Ada Quill", "Bo Reed"], [41, 42], ["gout-7731", None]]
    base = PredictionIds(SECRET).new("m")
    recorder.answers(form, Answers(base, now, "", "", 1, False, None, inputs, [0.5, 0.6]))
    writer.close()
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert written
    for secret in (b"Quill", b"Reed", b"gout", b"diagnosis"):
        assert secret not in written
    found = PredictionLog(tmp_path).find(f"{base}-1")
    assert found is not None
    assert found.inputs == {"name": recorder.pseudonyms.of("name", "Bo Reed"), "age": 42}
