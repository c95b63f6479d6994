"""Word goes out to a real receiver, once; who is broken, slow or unknown keeps nobody waiting."""

import socket
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.monitoring.incidents import life
from mlops_assets.monitoring.incidents.delivery import Delivered, deliver
from mlops_assets.monitoring.incidents.message import Message, message_of
from mlops_assets.monitoring.incidents.notifier import AppriseNotifier, NotDeliveredError
from mlops_assets.monitoring.incidents.outbox import MOST_ATTEMPTS
from mlops_assets.monitoring.incidents.store import IncidentStore
from mlops_assets_tests.alarmed_fleet import ORDERS, AlarmedFleet, rules
from mlops_assets_tests.receivers import Receiver, receiving

SECRET = "s3cret-path"
RULES = rules(
    routes=(
        {"owner": "team:a", "severity": "page", "url_env": "PAGER_A"},
        {"owner": "team:b", "severity": "page", "url_env": "PAGER_B"},
    ),
    runbooks="https://docs.example.org/runbooks/",
)
PATIENCE = timedelta(seconds=20)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(SECRET) as found:
        yield found


@pytest.fixture
def store(tmp_path: Path) -> IncidentStore:
    """A store with one incident of which two teams have to be told."""
    store, fleet = IncidentStore(f"sqlite:///{tmp_path / 'fleet.db'}"), AlarmedFleet()
    fault = [alarm for alarm in fleet.column_fault(ORDERS, "price") if alarm.owner != "team:c"]
    assert store.take_in(fault, fleet.models(), RULES, NOW).notices == 2
    return store


NOW = AlarmedFleet().now


def sent(store: IncidentStore, environment: dict[str, str], at: datetime = NOW, **more: Any) -> Delivered:
    notifier = more.pop("notifier", None) or AppriseNotifier()
    return deliver(store.outbox, notifier, RULES, at, environment=environment, **{"limit": PATIENCE, **more})


def told(store: IncidentStore) -> list[str]:
    return [f"{e.what} {e.text}" for e in store.timeline(1) if e.what in ("told", "not_told", "gave_up")]


def test_everybody_is_told_once_with_all_there_is_to_know(store: IncidentStore, receiver: Receiver) -> None:
    both = {"PAGER_A": receiver.url, "PAGER_B": receiver.url}
    assert sent(store, both) == Delivered(2, 0)
    assert sent(store, both) == Delivered(0, 0)
    first, second = receiver.received
    assert first == second
    assert first["title"] == (
        f"[page] #1 column price of {ORDERS}: values are multiplied by about 1000 (6 models)"
    )
    for words in (
        "**Who:** team:a",
        "**Since:** 2026-03-02 00:00 UTC",
        "**Harm:** none shown",
        "**Models hit:** m00, m01, m03, m04, m06, m07",
        "**Not hit:** m02, m05",
        "6 of 8 models downstream judged since show it",
        "https://docs.example.org/runbooks/data_drift.md",
        '`mlops-assets incidents ack 1 --reason "…"`',
    ):
        assert words in first["message"], words
    assert sorted(told(store)) == ["told PAGER_A (new)", "told PAGER_B (new)"]


def test_who_is_broken_is_tried_again_and_keeps_nobody_from_being_told(
    store: IncidentStore, receiver: Receiver
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"json://127.0.0.1:{closed.getsockname()[1]}/{SECRET}"
    assert sent(store, {"PAGER_A": receiver.url, "PAGER_B": nobody}) == Delivered(1, 1)
    both = {"PAGER_A": receiver.url, "PAGER_B": receiver.url}
    assert sent(store, both, NOW + timedelta(minutes=4)) == Delivered(0, 0)
    receiver.status = 503
    assert sent(store, both, NOW + timedelta(minutes=5)) == Delivered(0, 1)
    assert sent(store, both, NOW + timedelta(minutes=14)) == Delivered(0, 0)
    receiver.status = 200
    assert sent(store, both, NOW + timedelta(minutes=15)) == Delivered(1, 0)
    assert told(store) == [
        "told PAGER_A (new)",
        "not_told PAGER_B (new): the service was not reached, or refused it; again from 00:05 UTC on",
        "not_told PAGER_B (new): the service answered with 503; again from 00:15 UTC on",
        "told PAGER_B (new)",
    ]


def test_a_variable_that_is_not_set_is_told_on_the_timeline_and_tried_when_it_is(
    store: IncidentStore, receiver: Receiver
) -> None:
    assert sent(store, {"PAGER_A": "", "PAGER_B": "nonsense"}) == Delivered(0, 2)
    assert sorted(told(store)) == [
        "not_told PAGER_A (new): the environment variable PAGER_A is not set; again from 00:05 UTC on",
        "not_told PAGER_B (new): the variable holds no URL that Apprise knows; again from 00:05 UTC on",
    ]
    both = {"PAGER_A": receiver.url, "PAGER_B": receiver.url}
    assert sent(store, both, NOW + timedelta(minutes=5)) == Delivered(2, 0)


def test_no_url_is_ever_written_down(
    store: IncidentStore, receiver: Receiver, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    receiver.status = 500
    sent(store, {"PAGER_A": receiver.url, "PAGER_B": f"json://127.0.0.1:1/{SECRET}"})

    class Careless:
        def send(self, url: str, message: Message) -> None:
            raise RuntimeError(f"cannot reach {url}")

    later = NOW + timedelta(hours=1)
    assert (
        sent(store, {"PAGER_A": receiver.url, "PAGER_B": receiver.url}, later, notifier=Careless()).failed
        == 2
    )
    assert "the notifier failed with RuntimeError" in told(store)[-1]
    for file in tmp_path.iterdir():
        assert SECRET.encode() not in file.read_bytes()
    assert SECRET not in "".join(capfd.readouterr())


class Hanging:
    """A notifier that takes one message and never returns from it."""

    def __init__(self) -> None:
        self.end = threading.Event()
        self.carried: list[str] = []

    def send(self, url: str, message: Message) -> None:
        if url == "hangs":
            self.end.wait()
        self.carried.append(url)


def test_a_notifier_that_hangs_blocks_neither_the_others_nor_the_pass(store: IncidentStore) -> None:
    hanging = Hanging()
    try:
        urls = {"PAGER_A": "hangs", "PAGER_B": "works"}
        done = sent(store, urls, notifier=hanging, limit=timedelta(seconds=0.5))
    finally:
        hanging.end.set()
    assert done == Delivered(1, 1)
    assert told(store)[0] == "not_told PAGER_A (new): no answer within 0.5 s; again from 00:05 UTC on"


def test_it_is_given_up_after_some_attempts(store: IncidentStore) -> None:
    at = NOW
    for _ in range(MOST_ATTEMPTS):
        assert sent(store, {}, at) == Delivered(0, 2)
        at += timedelta(hours=6)
    assert sent(store, {}, at + timedelta(days=9)) == Delivered(0, 0)
    assert told(store)[-1].startswith("gave_up PAGER_B (new): ")


def test_what_is_over_is_not_told_late(store: IncidentStore, receiver: Receiver) -> None:
    store.change(1, lambda each: life.resolved(each, "ada", "mended", NOW))
    assert sent(store, {"PAGER_A": receiver.url, "PAGER_B": receiver.url}) == Delivered(0, 0)
    assert receiver.received == []
    assert "not_told PAGER_A: it was over before anybody could be told" in told(store)


def test_word_that_a_killed_pass_took_along_is_taken_up_by_a_later_one(
    store: IncidentStore, receiver: Receiver
) -> None:
    both = {"PAGER_A": receiver.url, "PAGER_B": receiver.url}
    assert len(store.outbox.take(NOW)) == 2  # and the process is killed here
    assert sent(store, both, NOW + timedelta(minutes=9)) == Delivered(0, 0)
    assert sent(store, both, NOW + timedelta(minutes=10)) == Delivered(2, 0)


def test_values_of_columns_are_shown_as_they_stand_and_begin_no_line(store: IncidentStore) -> None:
    fleet = AlarmedFleet(day=1)
    nasty = fleet.alarm("m20", "data_quality", "x", says="[click](http://evil)\n# **now** `rm`\x1b[2K")
    store.take_in([nasty], fleet.models(), RULES, fleet.now)
    (incident,) = store.incidents(model="m20")
    message = message_of(incident, "page", "new", None)
    assert "\\[click\\](http://evil) \\# \\*\\*now\\*\\*" in message.markdown
    assert "\x1b" not in message.markdown + message.plain + message.subject
    assert "\n" not in message.subject


def test_a_refusing_notifier_says_why() -> None:
    with pytest.raises(NotDeliveredError, match="no URL that Apprise knows"):
        AppriseNotifier().send("no-such-service://x", Message("s", "p", "m"))
