"""However a consumer ends, each message is logged once and answered at least once, always alike."""

from collections import deque
from collections.abc import Callable

import orjson
import pytest

from mlops_assets.errors import StreamError, StreamLost
from mlops_assets.serving.table import Resident
from mlops_assets.streaming import consumer as consuming
from mlops_assets.streaming.consumer import Consumer
from mlops_assets_tests.streaming.conftest import LATER, LONG_AGO, Desk
from mlops_assets_tests.streaming.memory import Killed, Topic

ROWS = [orjson.dumps({"a": number, "b": 1}) for number in range(12)]
LOST = StreamLost("the stream: gone")


def consumer(topic: Topic, desk: Desk, said: list[str] | None = None) -> Consumer:
    tell = (said if said is not None else []).append
    return Consumer(topic.connect, desk.responder().replies, "answered", "refused", tell)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consuming, "_FIRST_PAUSE_SECONDS", 0.001)


# Steps are: open, and of each of three reads and commits the read, and the commit's begin and middle.
@pytest.mark.parametrize("step", range(10))
@pytest.mark.parametrize("fault", [Killed(), LOST])
def test_whenever_it_is_killed_or_the_stream_is_lost(
    desk: Desk, version_of: Callable[[str], Resident], step: int, fault: BaseException
) -> None:
    topic = Topic.of(ROWS)
    topic.faults = deque([*[None] * step, fault])
    if step == 0 and fault is LOST:
        with pytest.raises(StreamLost):  # what never was there is not waited for
            consumer(topic, desk).run(until_end=True)
        return
    try:
        consumer(topic, desk).run(until_end=True)
    except Killed:
        desk.champion = version_of("2")
        consumer(topic, desk).run(until_end=True)
    answers: dict[bytes | None, set[bytes]] = {}
    for each in topic.written:
        answers.setdefault(each.key, set()).add(each.value)
    assert len(answers) == len(ROWS)
    assert all(len(different) == 1 for different in answers.values())
    assert len(desk.log.window("small", LONG_AGO, LATER, LATER)) == len(ROWS)


def test_a_lost_stream_is_looked_for_and_that_is_said(desk: Desk) -> None:
    topic, said = Topic.of(ROWS), []  # type: ignore[var-annotated]
    topic.faults = deque([None, LOST, LOST, LOST])
    consumer(topic, desk, said).run(until_end=True)
    assert len(topic.written) == len(ROWS)
    assert said == [f"{LOST}; trying again in {pause:g} s" for pause in (0.001, 0.002, 0.004)]


def test_it_can_be_told_to_stop_while_it_looks_for_the_stream(desk: Desk) -> None:
    topic = Topic.of(ROWS)
    topic.faults = deque([None, *[LOST] * 1000])
    stopped = consumer(topic, desk)
    stopped.tell = lambda _: stopped.stopping.set()
    stopped.run()
    assert topic.opened == 1


def test_a_topic_that_is_gone_is_not_waited_for(desk: Desk) -> None:
    topic = Topic.of(ROWS)
    topic.faults = deque([None, LOST, StreamError("there is no topic")])
    with pytest.raises(StreamError, match="there is no topic"):
        consumer(topic, desk).run(until_end=True)


def test_answers_and_refusals_go_to_topics_of_their_own_under_the_messages_keys(desk: Desk) -> None:
    topic = Topic.of([ROWS[0], b"{", ROWS[1]])
    counting = consumer(topic, desk)
    counting.run(until_end=True)
    assert [(each.topic, each.key) for each in topic.written] == [
        ("answered", b"k0"),
        ("refused", b"k1"),
        ("answered", b"k2"),
    ]
    assert (counting.consumed.answered, counting.consumed.refused) == (2, 1)
