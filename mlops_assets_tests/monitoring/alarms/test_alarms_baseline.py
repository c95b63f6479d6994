"""A baseline has one byte form, which is read back or refused with a reason."""

import msgspec
import numpy as np
import pytest

from mlops_assets.monitoring.alarms.baseline import Baseline
from mlops_assets.monitoring.alarms.decision import movements
from mlops_assets.monitoring.profiles.column import of_numbers
from mlops_assets_tests.monitoring.alarms.stable_streams import SIX, numbers, stream

HISTORY = stream(0, 30, {**SIX, "empty": lambda _: of_numbers(np.empty(0))}, rows=200)


def test_a_baseline_reads_back_as_the_same_bytes_and_says_the_same() -> None:
    made = Baseline.of("day", HISTORY)
    content = made.to_bytes()
    read = Baseline.from_bytes(content)
    assert read.to_bytes() == content == Baseline.of("day", HISTORY).to_bytes()
    window = stream(7, 1, {**SIX, "normal": lambda normal: numbers(normal + 0.4)}, rows=200)[0]
    said = [movements(each, "day", [each.figures(*window)], 0.01, least_effect=0) for each in (made, read)]
    assert said[0] == said[1]
    assert said[0][0].column == "normal"


def test_a_baseline_that_an_older_platform_wrote_is_refused_with_what_to_do() -> None:
    _, *fields = msgspec.msgpack.decode(Baseline.of("day", HISTORY).to_bytes())
    with pytest.raises(ValueError, match=r"no baseline: .* form 1, .* train the model again"):
        Baseline.from_bytes(msgspec.msgpack.encode((1, *fields)))


@pytest.mark.parametrize(
    "content",
    [b"", b"\xc1", b"\x01", b"no", msgspec.msgpack.encode((2,)), msgspec.msgpack.encode((2, 1, 2, 3))],
)
def test_what_is_no_baseline_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="baseline"):
        Baseline.from_bytes(content)


def test_a_baseline_cut_off_anywhere_is_refused() -> None:
    content = Baseline.of("day", HISTORY).to_bytes()
    for length in range(1, len(content), len(content) // 20):
        with pytest.raises(ValueError, match="baseline"):
            Baseline.from_bytes(content[:length])
