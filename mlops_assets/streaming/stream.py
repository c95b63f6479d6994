"""Port to a stream: messages in, answers out, and how far it was read."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

MOST_MESSAGES = 500


class Message(NamedTuple):
    """A message of a stream.

    Attributes:
        topic: The topic it is from.
        partition: The topic's partition.
        offset: Its place in the partition; places may be left out.
        key: Its key, if it has one.
        value: What it says, if it says anything.
        timestamp: When it was written, milliseconds since 1970; the same however often it is read.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int


class Outgoing(NamedTuple):
    """A message that is to be written.

    Attributes:
        topic: The topic it goes to.
        key: Its key.
        value: What it says.
    """

    topic: str
    key: bytes | None
    value: bytes


class Stream(Protocol):
    """A connection to a stream, from where its messages were read up to last time."""

    def read(self, seconds: float) -> Sequence[Message]:
        """Return the messages that come next, each partition's in order, at most :data:`MOST_MESSAGES`.

        Args:
            seconds: How long to wait for the first; then there are none.

        Raises:
            StreamLost: The stream is not there any more.
        """
        ...

    @property
    def is_at_end(self) -> bool:
        """Whether all that is there was read."""
        ...

    def commit(self, outgoing: Sequence[Outgoing], read: Sequence[Message]) -> None:
        """Write messages, and that others were read; both or none, as far as the stream can do that.

        Raises:
            StreamLost: It is not known whether that was done; what was read comes again if not.
        """
        ...

    def close(self) -> None:
        """Leave the stream; what was read and not committed comes again."""
        ...
