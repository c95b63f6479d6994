"""A stream in memory, that can be lost or killed at any step."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from mlops_assets.streaming.stream import Message, Outgoing


class Killed(BaseException):
    """Stands for the end of the process: nobody catches it."""


@dataclass
class Topic:
    """A topic of two partitions and what was written for it; connections to it are streams.

    Attributes:
        messages: All messages.
        faults: What is raised at the next steps, one each; None for nothing.
        at_once: How many messages one reads at once.
    """

    messages: list[Message]
    faults: deque[BaseException | None] = field(default_factory=deque)
    at_once: int = 5
    done: int = 0
    written: list[Outgoing] = field(default_factory=list)
    opened: int = 0

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> "Topic":
        return cls(
            [
                Message(
                    "asked", number % 2, number // 2, f"k{number}".encode(), value, 1_700_000_000_000 + number
                )
                for number, value in enumerate(values)
            ]
        )

    def step(self) -> None:
        if self.faults and (fault := self.faults.popleft()) is not None:
            raise fault

    def connect(self) -> "Connection":
        self.step()
        self.opened += 1
        return Connection(self, self.done)


@dataclass
class Connection:
    """One consumer's view of a topic; see :class:`~mlops_assets.streaming.stream.Stream`."""

    topic: Topic
    place: int

    def read(self, seconds: float) -> list[Message]:
        self.topic.step()
        read = self.topic.messages[self.place : self.place + self.topic.at_once]
        self.place += len(read)
        return read

    @property
    def is_at_end(self) -> bool:
        return self.place == len(self.topic.messages)

    def commit(self, outgoing: Sequence[Outgoing], read: Sequence[Message]) -> None:
        self.topic.step()
        self.topic.written += outgoing
        self.topic.step()  # with what was written, and not how far was read
        self.topic.done = self.place

    def close(self) -> None:
        pass
