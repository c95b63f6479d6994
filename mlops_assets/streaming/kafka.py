"""Kafka as a stream, by the library confluent-kafka, which the extra ``kafka`` installs."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import StreamError, StreamLost, did_you_mean
from mlops_assets.streaming.stream import MOST_MESSAGES, Message, Outgoing

if TYPE_CHECKING:
    import confluent_kafka as kafka

PREFIX = "MLOPS_KAFKA_"
# What the environment may say, by the names that Kafka's client has for it.
SETTINGS = (
    "security.protocol",
    "sasl.mechanism",
    "sasl.username",
    "sasl.password",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
)
_PATIENCE_SECONDS = 10.0
_ABORTING_SECONDS = 5.0
# So long after one was killed, others take over its partitions.
_SESSION_MILLISECONDS = 10_000
# So long after one was killed, readers of the answers see those behind the ones that it did not commit.
_TRANSACTION_MILLISECONDS = 30_000


def settings_in(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what an environment says of the connection: ``MLOPS_KAFKA_SASL_PASSWORD`` and the like.

    Raises:
        StreamError: It says something that is not known.
    """
    known = {PREFIX + name.upper().replace(".", "_"): name for name in SETTINGS}
    said = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
    for name in said:
        if name not in known:
            raise StreamError(f"{name} is not known{did_you_mean(name, known)}; known: {', '.join(known)}")
    return {known[name]: value for name, value in said.items()}


class KafkaStream:
    """A topic as the members of a consumer group read it; see :class:`~mlops_assets.streaming.stream.Stream`.

    What is written and how far was read is one transaction of Kafka's. Who reads the answers with
    ``isolation.level=read_committed``, the default of most clients, sees each once.

    Args:
        brokers: Addresses, ``host:port``, separated by commas.
        topic: What is read; a group that has never read it begins with its oldest message.
        targets: Topics that are written to.
        group: The consumer group.
        settings: Further settings of Kafka's client.

    Raises:
        StreamError: A topic is not there, the settings are wrong, or the library is not installed.
        StreamLost: No broker answers.
    """

    def __init__(
        self,
        brokers: str,
        topic: str,
        targets: Collection[str],
        group: str,
        settings: Mapping[str, str],
    ) -> None:
        try:
            import confluent_kafka
        except ImportError as error:
            raise StreamError("streams need Kafka's client: pip install 'mlops-assets[kafka]'") from error
        self._kafka, self._brokers = confluent_kafka, brokers
        self._is_down, self._reason = False, ""
        self._ended: set[int | None] = set()
        self._assigned: set[int | None] | None = None
        self._writing = False
        common = {
            **settings,
            "bootstrap.servers": brokers,
            "log_level": 2,  # what matters of it is told by us
            "error_cb": self._heed,
        }
        reading = {
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "session.timeout.ms": _SESSION_MILLISECONDS,
        }
        writing = {
            "transactional.id": f"{group}-{uuid.uuid4().hex}",
            "transaction.timeout.ms": _TRANSACTION_MILLISECONDS,
        }
        try:
            self._consumer = confluent_kafka.Consumer(common | reading)
            self._producer = confluent_kafka.Producer(common | writing)
        except confluent_kafka.KafkaException as error:
            raise StreamError(f"Kafka's client refuses its settings: {_told(error)}") from error
        try:
            self._require({topic, *targets})
            self._producer.init_transactions(_PATIENCE_SECONDS)
            self._consumer.subscribe([topic], on_assign=self._assign, on_revoke=self._revoke)
        except confluent_kafka.KafkaException as error:
            self.close()
            raise self._lost(_told(error)) from error
        except StreamError:
            self.close()
            raise

    def read(self, seconds: float) -> list[Message]:
        """See :meth:`Stream.read`."""
        first = self._consumer.poll(seconds)
        if self._is_down:
            raise self._lost("not there any more")
        if first is None:
            return []
        read = []
        for each in (first, *self._consumer.consume(MOST_MESSAGES - 1, 0)):
            if (error := each.error()) is None:
                read.append(_message(each))
                self._ended.discard(each.partition())
            elif error.code() == self._kafka.KafkaError._PARTITION_EOF:
                self._ended.add(each.partition())
            else:
                raise self._lost(error.str())
        return read

    @property
    def is_at_end(self) -> bool:
        """See :meth:`Stream.is_at_end`."""
        return self._assigned is not None and self._assigned <= self._ended

    def commit(self, outgoing: Sequence[Outgoing], read: Sequence[Message]) -> None:
        """See :meth:`Stream.commit`."""
        # The last of each partition counts.
        next_offsets = {(each.topic, each.partition): each.offset + 1 for each in read}
        positions = [self._kafka.TopicPartition(*place, offset) for place, offset in next_offsets.items()]
        try:
            self._producer.begin_transaction()
            self._writing = True
            for each in outgoing:
                self._producer.produce(each.topic, each.value, each.key)
            group = self._consumer.consumer_group_metadata()
            self._producer.send_offsets_to_transaction(positions, group, _PATIENCE_SECONDS)
            self._producer.commit_transaction(_PATIENCE_SECONDS)
            self._writing = False
        except self._kafka.KafkaException as error:
            raise self._lost(_told(error)) from error

    def close(self) -> None:
        """See :meth:`Stream.close`."""
        if self._writing and not self._is_down:
            with suppress(self._kafka.KafkaException):
                self._producer.abort_transaction(_ABORTING_SECONDS)
        self._consumer.close()

    def _require(self, topics: set[str]) -> None:
        """Require that a broker answers and has some topics.

        All topics are asked for: to ask for one by its name may make it.
        """
        waited = 0.0
        while True:
            try:
                known = self._consumer.list_topics(timeout=1).topics
                break
            except self._kafka.KafkaException as error:
                self._consumer.poll(0)  # has the reason told
                waited += 1
                if self._is_down or waited >= _PATIENCE_SECONDS:
                    raise self._lost(_told(error)) from error
        for topic in sorted(topics):
            if topic not in known:
                raise StreamError(
                    f"there is no topic {topic!r} at {self._brokers}{did_you_mean(topic, known)}"
                )

    def _heed(self, error: "kafka.KafkaError") -> None:
        named = self._kafka.KafkaError
        self._is_down |= error.code() in (named._ALL_BROKERS_DOWN, named._AUTHENTICATION) or error.fatal()
        if error.code() != named._ALL_BROKERS_DOWN:  # why each of them is was said before
            self._reason = error.str()

    def _assign(self, _: Any, partitions: "list[kafka.TopicPartition]") -> None:
        self._assigned = {each.partition for each in partitions}
        self._ended.clear()

    def _revoke(self, _: Any, partitions: "list[kafka.TopicPartition]") -> None:
        self._assigned = None

    def _lost(self, what: str) -> StreamLost:
        return StreamLost(f"Kafka at {self._brokers}: {self._reason or what}")


def _message(read: "kafka.Message") -> Message:
    topic, partition, offset = read.topic(), read.partition(), read.offset()
    assert topic is not None and partition is not None and offset is not None  # noqa: PT018
    _, timestamp = read.timestamp()
    return Message(topic, partition, offset, read.key(), read.value(), timestamp)


def _told(error: Exception) -> str:
    """Return what Kafka's client says is wrong."""
    (inner, *_) = error.args
    return str(inner.str()) if hasattr(inner, "str") else str(inner)
