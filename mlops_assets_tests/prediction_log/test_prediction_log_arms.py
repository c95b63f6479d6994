"""What both arms of a rollout answered, and whose answers count as whose."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlops_assets.prediction_log.compaction import compact
from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.records import Answers, Failure
from mlops_assets_tests.written_log import WrittenLog

START = datetime(2026, 1, 1)
AT = microseconds(START)
TRAFFIC = 7


def answers(place: int, entities: list[str | None], arm: str = "champion", **changes: Any) -> Answers:
    """Return the answers to the n-th request, one row for each of the entities."""
    values = {"traffic": TRAFFIC, "probe": False, **changes}
    return Answers(
        base=f"{AT + place:014x}", served_at=AT + place, arm=arm, caller="tests", latency_us=2000,
        event_times=None, inputs=[[1.0] * len(entities), ["north"] * len(entities)],
        outputs=[0.5] * len(entities), entities=entities, **values,
    )  # fmt: skip


@pytest.fixture(params=["as it is written", "compacted"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> WrittenLog:
    written = WrittenLog(tmp_path / "log")
    record = written.recorder
    one, two = (record.form("m", version, ["x", "region"]) for version in ("1", "2"))
    record.answers(one, answers(1, ["ann"]), answers(2, ["bob", "cid"]), answers(3, ["dan", "dan"]))
    record.answers(one, answers(4, [None]), answers(5, ["eve"], probe=True), answers(6, ["eve"], traffic=6))
    record.answers(two, answers(7, ["fay"], "challenger"), answers(1, ["ann"], "shadow"))
    record.failure(
        Failure("m", AT + 8, 422, "", "tests", f"{AT + 8:014x}", "2", "challenger", TRAFFIC, "gus")
    )
    record.feedback("m", [(f"{AT + 1:014x}", 1, AT + 30), (f"{AT + 1:014x}", 0, AT + 20)])
    record.feedback("m", [(f"{AT + 7:014x}", 1, AT + 2_000_000)])
    written.close()
    if request.param == "compacted":
        compact(tmp_path / "log")
    return written


def seen(log: WrittenLog, **asked: Any) -> pd.DataFrame:
    return log.rollout("m", "2", {TRAFFIC: 25}, START, START + timedelta(seconds=1), **asked)


def test_an_answer_counts_for_whom_its_request_was_about(log: WrittenLog) -> None:
    request = {n: f"{AT + n:014x}" for n in range(9)}
    found = seen(log).groupby("request")["unit"].unique().map(list).to_dict()
    assert found == {
        request[1]: ["ann"],
        request[2]: [request[2]],  # about two
        request[3]: ["dan"],
        request[4]: [request[4]],  # about nobody that is named
        request[7]: ["fay"],
        request[8]: ["gus"],
    }


def test_both_arms_are_told_apart_with_what_came_of_them(log: WrittenLog) -> None:
    found = seen(log, columns=["region"])
    assert found.groupby(["challenger", "shadow", "failed"]).size().to_dict() == {
        (False, False, False): 6,
        (True, False, False): 1,
        (True, False, True): 1,
        (True, True, False): 1,
    }
    assert set(found["percent"]) == {25}
    assert set(found.loc[~found["failed"], "region"]) == {"north"}


def test_of_several_labels_the_one_observed_last_by_then_counts(log: WrittenLog) -> None:
    found = seen(log).query("not shadow").set_index("unit")
    assert (found.loc["ann", "label"], found.loc["ann", "labelled_at"]) == (
        1,
        START + timedelta(microseconds=30),
    )
    assert found.loc["fay", "label"] is None  # it is observed later
