"""``mlops-assets consume`` on a broker that is really there."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.home import Home
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.streaming.stream import MOST_MESSAGES
from mlops_assets_tests.fleets import Fleet, constant
from mlops_assets_tests.streaming.broker import Broker, keyed
from mlops_assets_tests.streaming.conftest import LATER, LONG_AGO
from mlops_assets_tests.whole_processes import Running, WarmProcess

_TRIAL = Path(__file__).with_name("consume_trial.py")

Consume = Callable[..., Running]


@pytest.fixture(scope="module")
def broker(fast_folder: Path) -> Iterator[Broker]:
    with Broker.running(fast_folder / "broker.log") as broker:
        yield broker


@pytest.fixture(scope="module")
def fleet(fast_folder: Path) -> Fleet:
    """The model steps: its version 1, which serves, answers 1, its version 2 answers 2."""
    fleet = Fleet(Home(fast_folder / "streams"))
    fleet.hand_over("steps", fleet.add(constant("steps", 1.0)).version)
    fleet.add(constant("steps", 2.0))
    return fleet


@pytest.fixture
def consume(warm: WarmProcess, fleet: Fleet, broker: Broker, tmp_path: Path) -> Consume:
    """Start the command for the model steps."""

    def start(source: str, answers: str, *options: str, brokers: str = broker.address) -> Running:
        argv = ["consume", "steps", "--from", source, "--to", answers, "--brokers", brokers, *options]
        return warm.start("cli", argv, cwd=tmp_path, home=fleet.home.root)

    return start


def logged(fleet: Fleet, arrived: list[tuple[str, Any]]) -> dict[str, tuple[str, Any]]:
    ids = [body["prediction_id"] for _, body in arrived]
    return PredictionLog(fleet.home.prediction_log).answers("steps", ids)


def test_messages_are_answered_by_who_serves_at_that_moment(
    consume: Consume, fleet: Fleet, broker: Broker
) -> None:
    broker.make("asked", "answered", "refused")
    broker.send("asked", keyed([{"x": 0.5}] * 20, "first-"))
    broker.send("asked", {"no json": b"{", "nothing": None, "no x": {"y": 1}, "text": {"x": "far"}})
    running = consume("asked", "answered", "--rejected", "refused")
    first = broker.received("answered", 20)
    assert {key for key, _ in first} == {f"first-{n}" for n in range(20)}
    assert {(body["model"], body["version"], body["prediction"]) for _, body in first} == {
        ("steps", "1", 1.0)
    }
    refused = {key: body["error"] for key, body in broker.received("refused", 4)}
    assert "not JSON" in refused["no json"]
    assert "not JSON" in refused["nothing"]
    assert "missing columns: x" in refused["no x"]
    assert "'far' is not a number" in refused["text"]

    fleet.hand_over("steps", "2")
    arrived, asked = first, 0
    while not (later := [body for _, body in arrived if body["version"] == "2"]):
        broker.send("asked", {f"later-{asked}": {"x": 0.5}})
        asked += 1
        arrived = broker.received("answered", 20 + asked)
    assert {body["prediction"] for body in later} == {2.0}
    os.kill(running.pid, signal.SIGTERM)
    ended = running.wait()
    assert ended.code == 0, ended.err
    assert f"{20 + asked} messages answered, 4 refused" in ended.out
    known = logged(fleet, arrived)
    assert all(known[body["prediction_id"]] == (body["version"], body["prediction"]) for _, body in arrived)


@pytest.mark.slow  # the broker waits for who was killed
def test_killed_before_it_answers_what_it_has_logged(
    consume: Consume, warm: WarmProcess, fleet: Fleet, broker: Broker, tmp_path: Path
) -> None:
    broker.make("many", "replies")
    count = 3 * MOST_MESSAGES
    broker.send("many", keyed([{"x": 1.0}] * count))
    argv = ["consume", "steps", "--from=many", "--to=replies", f"--brokers={broker.address}"]
    killed = warm.call(
        _TRIAL, "killed_before_commit", {"number": 2, "argv": argv}, cwd=tmp_path, home=fleet.home.root
    )
    assert killed.code == -signal.SIGKILL, killed.err
    assert 0 < len(broker.received("replies", 1)) < count
    ended = consume("many", "replies", "--until-end").wait()
    assert ended.code == 0, ended.err
    arrived = broker.received("replies", count)
    ids = {key: body["prediction_id"] for key, body in arrived}
    assert len(ids) == len({*ids.values()}) == count
    assert all(ids[key] == body["prediction_id"] for key, body in arrived)
    served = PredictionLog(fleet.home.prediction_log).window("steps", LONG_AGO, LATER, LATER)
    assert served["prediction_id"].isin({*ids.values()}).sum() == count


@pytest.mark.parametrize(
    ("source", "brokers", "says"),
    [
        ("nowhere", None, "there is no topic 'nowhere' at 127.0.0.1"),
        ("nowhere", "127.0.0.1:1", "Kafka at 127.0.0.1:1: "),
        ("nowhere to", None, "'nowhere to' is read; answers and what is rejected need topics of their own"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    consume: Consume, broker: Broker, source: str, brokers: str | None, says: str
) -> None:
    ended = consume(source, "nowhere to", brokers=brokers or broker.address).wait()
    assert ended.code == 2
    assert ended.err.startswith(f"mlops-assets: {says}")
    assert ended.err.count("\n") == 1, ended.err


def test_a_broker_that_goes_is_waited_for_until_told_to_end(consume: Consume, tmp_path: Path) -> None:
    with Broker.running(tmp_path / "broker.log") as broker:
        broker.make("before", "after")
        broker.send("before", {"key": {"x": 1.0}})
        running = consume("before", "after", brokers=broker.address)
        broker.received("after", 1)
        broker.process.kill()
        broker.process.wait()
        while "trying again in 1 s" not in running.out:
            assert not running.ended()
        os.kill(running.pid, signal.SIGTERM)
        ended = running.wait()
    assert ended.code == 0, ended.err
    assert "1 messages answered, 0 refused" in ended.out
