"""The shadow's queue: what is asked together, where, and what becomes of too much of it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from mlops_assets.serving.batches import Asked, Batch
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.shadow import Shadow, Unseen
from mlops_assets.serving.table import Resident


@pytest.fixture(scope="module")
def resident(fleet: Any, gateway_in_process: Any) -> Iterator[Resident]:
    with gateway_in_process(fleet) as inside:
        inside.settle()
        yield inside.router.table.find("diabetes", None)


class Asking:
    """Stands for what asks a version: keeps what it was asked, and in which thread."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.threads: set[int] = set()
        self.fails = False

    def __call__(self, unseen: Unseen) -> None:
        self.rows.append(len(unseen.batch.values))
        self.threads.add(threading.get_ident())
        if self.fails:
            raise RuntimeError("the challenger stumbles")


@pytest.fixture
def asking() -> Asking:
    return Asking()


@pytest.fixture
def unseen(resident: Resident) -> Callable[[int], Unseen]:
    def make(rows: int) -> Unseen:
        sent = [[0.0] * len(resident.package.manifest.inputs)] * rows
        checked = resident.reader.read_mlflow(orjson.dumps({"instances": sent}))
        assert checked is not None
        return Unseen(resident, Batch.of(checked, Asked(0.0)))

    return make


def dropped(meters: Meters) -> float:
    return sum(
        sample.value
        for metric in meters.metrics()
        for sample in metric.samples
        if sample.name == "mlops_gateway_shadow_dropped_total"
    )


def test_an_event_loop_asks_what_came_together_at_once_and_by_itself(asking: Asking, unseen: Any) -> None:
    shadow = Shadow(asking, Meters())

    async def offer() -> None:
        for _ in range(20):
            shadow.offer(unseen(1))
        assert not asking.rows
        await asyncio.to_thread(shadow.drain, 20)

    asyncio.run(offer())
    assert asking.rows == [20]
    assert asking.threads == {threading.get_ident()}


def test_what_is_offered_by_a_thread_is_asked_by_one(asking: Asking, unseen: Any) -> None:
    shadow = Shadow(asking, Meters())
    shadow.offer(unseen(1))
    assert shadow.drain(20)
    assert asking.rows == [1]
    assert threading.get_ident() not in asking.threads


def test_too_much_is_dropped_and_counted(asking: Asking, unseen: Any) -> None:
    meters = Meters()
    shadow = Shadow(asking, meters, most_rows=11)

    async def offer() -> None:
        for _ in range(8):
            shadow.offer(unseen(2))
        await asyncio.to_thread(shadow.drain, 20)
        shadow.offer(unseen(2))  # there is room again
        await asyncio.to_thread(shadow.drain, 20)

    asyncio.run(offer())
    assert asking.rows == [10, 2]
    assert dropped(meters) == 3


@pytest.mark.parametrize("in_loop", [True, False])
def test_a_stumble_stops_nothing(asking: Asking, unseen: Any, in_loop: bool) -> None:
    shadow = Shadow(asking, Meters())

    async def offer() -> None:
        for asking.fails in (True, False):
            if in_loop:
                shadow.offer(unseen(1))
            else:
                await asyncio.to_thread(shadow.offer, unseen(1))
            assert await asyncio.to_thread(shadow.drain, 20)

    asyncio.run(offer())
    assert asking.rows == [1, 1]
