"""What is said to messages, and what is logged of them."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest

from mlops_assets.errors import StorageError
from mlops_assets.prediction_log.records import STREAM
from mlops_assets.serving.table import Resident
from mlops_assets_tests.streaming.conftest import LATER, LONG_AGO, Desk
from mlops_assets_tests.streaming.memory import Topic


def messages(*rows: Any) -> Any:
    return Topic.of([row if isinstance(row, bytes | None) else orjson.dumps(row) for row in rows]).messages


def test_a_row_is_answered_and_logged_as_a_request_is(desk: Desk) -> None:
    rows = [{"a": 0.5, "b": 3, "who": 7}, {"b": 1, "a": 2}, {"a": 1, "b": 1, "t": "2024-05-01T10:00:00Z"}]
    replies = desk.responder().replies(messages(*rows))
    expected = desk.champion.package.predict(pd.DataFrame(rows)[["a", "b"]].astype("float64"))
    np.testing.assert_allclose([reply.body["prediction"] for reply in replies], expected, atol=1e-6)
    assert [reply.body["version"] for reply in replies] == ["1"] * 3
    found = [desk.log.find(reply.body["prediction_id"]) for reply in replies]
    assert [each.inputs for each in found if each] == rows
    assert [each.output for each in found if each] == [reply.body["prediction"] for reply in replies]
    assert {(each.arm, each.caller) for each in found if each} == {(STREAM, "topic asked")}
    first, _, timed = found
    assert first is not None
    assert first.entity == "7"
    assert timed is not None
    assert timed.event_time.isoformat() == "2024-05-01T10:00:00"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"", "the body is not JSON"),
        (None, "the body is not JSON"),
        (b"\xff\xfe", "the body is not JSON"),
        (b'{"a":1,"b":1},{"a":1,"b":1}', "the body is not JSON"),
        (b'{"a":1,"b":1}],"inputs":[[1,1]', "the body is not JSON"),
        ([{"a": 1, "b": 1}], "the body must be a JSON object"),
        ({}, "missing columns: a, b"),
        ({"a": "far", "b": 1}, "column 'a', row 0: 'far' is not a number"),
        ({"a": [1, 2], "b": 1}, "column 'a', row 0: one value expected"),
        ({"a": 1, "b": 1, "c": 1}, "unknown columns: 'c'"),
        ({"a": 1, "b": 1, "who": True}, "an entity must be text or a number"),
    ],
)
def test_a_wrong_message_is_told_so_and_the_others_are_answered(desk: Desk, value: Any, says: str) -> None:
    good = {"a": 1, "b": 1}
    before, wrong, after = desk.responder().replies(messages(good, value, good))
    assert wrong.is_refused
    assert says in wrong.body["error"]
    assert [wrong.body[name] for name in ("topic", "partition", "offset")] == ["asked", 1, 0]
    assert before.body["prediction"] == after.body["prediction"]
    assert desk.log.failures("small", LONG_AGO, LATER)[1].tolist() == [400]


def test_a_row_that_the_model_fails_on_counts_as_its_error(desk: Desk) -> None:
    answered, failed = desk.responder().replies(messages({"a": 1, "b": 1}, {"a": 1, "b": None}))
    assert "the model has no finite prediction" in failed.body["error"]
    assert not answered.is_refused
    assert desk.log.failures("small", LONG_AGO, LATER)[1].tolist() == [422]


def test_a_message_that_comes_again_has_the_answer_it_had(
    desk: Desk, version_of: Callable[[str], Resident]
) -> None:
    rows = messages(*({"a": n, "b": 1} for n in range(6)))
    first = desk.responder().replies(rows[:4])
    desk.champion = version_of("2")
    again = desk.responder().replies(rows)
    assert [reply.body for reply in again[:4]] == [reply.body for reply in first]
    assert [reply.body["version"] for reply in again] == ["1"] * 4 + ["2"] * 2
    assert len(desk.log.window("small", LONG_AGO, LATER, LATER)) == 6


def test_two_who_have_the_same_messages_log_each_once(desk: Desk) -> None:
    rows = messages(*({"a": n, "b": 1} for n in range(200)))
    said: list[Any] = []
    both = [threading.Thread(target=lambda: said.append(desk.responder().replies(rows))) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    one, other = ([reply.body for reply in replies] for replies in said)
    assert one == other
    assert len(desk.log.window("small", LONG_AGO, LATER, LATER)) == 200


def test_nothing_is_replied_that_cannot_be_logged(desk: Desk) -> None:
    responder = desk.responder()
    desk.recorder.close()
    with pytest.raises(StorageError):
        responder.replies(messages({"a": 1, "b": 1}))


def test_a_damaged_note_is_named(desk: Desk) -> None:
    rows = messages({"a": 1, "b": 1})
    desk.responder().replies(rows)
    (note,) = (desk.folder / "streams").iterdir()
    note.write_bytes(b"\0" * 20)
    with pytest.raises(StorageError, match=f"{note.name} is damaged"):
        desk.responder().replies(rows)
