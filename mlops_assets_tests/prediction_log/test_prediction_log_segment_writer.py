"""What was confirmed is there, whatever becomes of the writer, the disk or the file."""

import errno
import os
import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlops_assets.errors import StorageError
from mlops_assets.prediction_log.records import Failure, Schema, encode
from mlops_assets.prediction_log.segment_writer import SegmentWriter
from mlops_assets.prediction_log.segments import Loss, segments_in


def record(text: str) -> bytes:
    return encode(Failure("m", 0, 400, text, ""))


def written(folder: Path) -> list[str]:
    """Return the texts of all records of a log, after nothing of it was found lost."""
    found = [each for segment in segments_in(folder) for each in segment.records()]
    assert not [loss for loss in found if isinstance(loss, Loss)]
    return [each[0].message for each in found if not isinstance(each, Loss) and isinstance(each[0], Failure)]


def test_what_was_appended_is_there_before_anything_is_synced_or_closed(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "deep" / "log", "w", sync=lambda file: None)
    writer.append([record("a"), record("b")])
    assert written(tmp_path / "deep" / "log") == ["a", "b"]
    writer.close()


def test_what_is_closed_is_on_disk(tmp_path: Path) -> None:
    synced: list[tuple[int, int]] = []
    writer = SegmentWriter(
        tmp_path,
        "w",
        most_bytes=100,
        sync=lambda file: synced.append((os.fstat(file).st_ino, os.fstat(file).st_size)),
    )
    for n in range(9):
        writer.append([record(str(n))])
    writer.close()
    last = dict(synced)
    files = [segment.path.stat() for segment in segments_in(tmp_path)]
    assert len(files) > 1
    assert {stat.st_ino: stat.st_size for stat in files}.items() <= last.items()


def test_a_full_segment_is_followed_by_one_that_opens_alike(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "w", most_bytes=200)
    schema = Schema(0, "m", "1", ("a",))
    writer.open_with(encode(schema))
    for n in range(20):
        writer.append([record(str(n))])
    writer.append([record("x" * 500)])  # larger than any segment may grow to: it gets one of its own
    writer.close()
    segments = segments_in(tmp_path)
    assert len(segments) > 3
    for segment in segments:
        first = next(iter(segment.records()))
        assert not isinstance(first, Loss)
        assert first[0] == schema
    assert written(tmp_path) == [*map(str, range(20)), "x" * 500]


def test_an_old_segment_is_ended_though_nothing_comes(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "w", oldest_seconds=0)
    writer.append([record("a")])
    writer.sync()
    with segments_in(tmp_path)[0].owned() as ended:
        assert ended
    count = len(segments_in(tmp_path))
    writer.sync()
    assert len(segments_in(tmp_path)) == count == 2, "an empty segment is kept however old it is"
    writer.close()


def test_an_open_segment_is_its_writers_alone(tmp_path: Path) -> None:
    writer, other = SegmentWriter(tmp_path, "w"), SegmentWriter(tmp_path, "w")
    for segment in segments_in(tmp_path):
        with segment.owned() as owned:
            assert not owned
    writer.close()
    other.append([record("b")])
    other.close()
    assert written(tmp_path) == ["b"]


def test_threads_may_share_a_writer(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "w", most_bytes=5000)

    def work(n: int) -> None:
        for i in range(100):
            writer.append([record(f"{n}-{i}-a"), record(f"{n}-{i}-b")])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    writer.close()
    found = written(tmp_path)
    assert sorted(found) == sorted(f"{n}-{i}-{x}" for n in range(8) for i in range(100) for x in "ab")
    for n in range(8):
        mine = [text for text in found if text.startswith(f"{n}-")]
        assert mine == [f"{n}-{i}-{x}" for i in range(100) for x in "ab"]


def test_a_failing_disk_is_a_problem_until_a_new_segment_is_on_it(tmp_path: Path) -> None:
    broken = True
    files: list[int] = []

    def sync(file: int) -> None:
        files.append(os.fstat(file).st_ino)
        if broken:
            raise OSError(errno.EIO, "Input/output error")

    writer = SegmentWriter(tmp_path, "w", sync=sync)
    assert writer.problem is None
    writer.append([record("a")])
    writer.sync()
    assert writer.problem is not None
    assert "Input/output error" in writer.problem
    broken, suspect = False, files[-1]
    writer.sync()
    assert writer.problem is None
    assert files[-1] != suspect, "a segment that could not be synced is not trusted again"
    writer.append([record("b")])
    writer.close()
    assert written(tmp_path) == ["a", "b"]


def test_a_disk_that_hangs_is_a_problem_and_blocks_nobody(tmp_path: Path) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def sync(file: int) -> None:
        hangs.set()
        goes_on.wait()

    writer = SegmentWriter(tmp_path, "w", sync=sync, patience_seconds=0)
    writer.append([record("a")])
    assert hangs.wait(30)
    assert "has not answered" in (writer.problem or "")
    writer.append([record("b")])
    goes_on.set()
    writer.close()
    assert written(tmp_path) == ["a", "b"]


def test_a_closed_writer_writes_nothing_more(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path, "w")
    writer.close()
    assert "is closed" in (writer.problem or "")
    with pytest.raises(StorageError, match="is closed"):
        writer.append([record("a")])
    writer.sync()
    writer.close()
    assert written(tmp_path) == []


def test_a_segment_that_somebody_deletes_is_not_written_on(tmp_path: Path) -> None:
    writer = SegmentWriter(tmp_path / "log", "w")
    segments_in(tmp_path / "log")[0].path.unlink()
    (tmp_path / "log").rmdir()
    writer.sync()
    writer.append([record("a")])
    writer.close()
    assert written(tmp_path / "log") == ["a"]


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"prediction log .*file.*: a file is in the way of a folder"):
        SegmentWriter(tmp_path / "file", "w")


FILL = """
import resource, sys
from pathlib import Path
from mlops_assets.errors import StorageError
from mlops_assets.prediction_log.records import Failure, encode
from mlops_assets.prediction_log.segment_writer import SegmentWriter

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def tried(text):
    try:
        writer.append([encode(Failure("m", 0, 400, text, "")), encode(Failure("m", 0, 400, text + "!", ""))])
    except StorageError as error:
        return str(error)
    print(text)

writer = SegmentWriter(Path(sys.argv[1]), "w")
limit(10_000)
refusals = [tried(str(n) * 100) for n in range(30)]
assert refusals[0] is None
assert "the disk is full" in refusals[-1], refusals
assert "the disk is full" in writer.problem
writer.sync()
assert "the disk is full" in writer.problem, "there is no more room than before"
limit(resource.RLIM_INFINITY)
writer.sync()
assert writer.problem is None
assert tried("at last") is None
writer.close()
"""


def test_of_what_a_full_disk_refuses_nothing_is_left_and_with_room_it_goes_on(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    confirmed = done.stdout.split("\n")[:-1]
    assert confirmed[-1] == "at last"
    assert written(tmp_path) == [text for each in confirmed for text in (each, each + "!")]


WRITE = """
import itertools, sys
from pathlib import Path
from mlops_assets.prediction_log.prediction_ids import PredictionIds
from mlops_assets.prediction_log.records import Failure, encode
from mlops_assets.prediction_log.segment_writer import SegmentWriter

writer = SegmentWriter(Path(sys.argv[1]), "w", most_bytes=int(sys.argv[2]))
ids = PredictionIds(bytes(32))
for n in itertools.count():
    new = ids.new("m")
    writer.append([encode(Failure("m", n, 400, new, "x" * (n % 400)))])
    print(new, flush=True)
"""


def test_a_kill_at_any_moment_loses_nothing_that_was_confirmed(tmp_path: Path) -> None:
    """Twenty writers, one after the other in one folder, each killed in full flight."""
    moments = random.Random(4)
    confirmed: list[str] = []
    for _ in range(20):
        size = moments.choice([2_000, 50_000, 2**26])
        command = [sys.executable, "-c", WRITE, str(tmp_path), str(size)]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        for _, line in zip(range(moments.randint(1, 2000)), writer.stdout, strict=False):
            confirmed.append(line.strip())
        os.kill(writer.pid, signal.SIGKILL)
        confirmed += [line.strip() for line in writer.stdout if line.endswith("\n")]
        writer.wait()
    found = written(tmp_path)
    assert set(confirmed) <= set(found)
    assert len(found) - len(confirmed) <= 20, "at most the one under way at each kill was not confirmed yet"
    assert len(set(found)) == len(found)
