"""Read a stream, reply, and go on, whatever becomes of the broker."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from threading import Event

from mlops_assets.errors import StreamLost
from mlops_assets.serving.bodies import dumped
from mlops_assets.streaming.replies import Reply
from mlops_assets.streaming.stream import Message, Outgoing, Stream

# A signal is heeded that late at most.
_READING_SECONDS = 0.5
# Before a stream that was lost is looked for again; twice as long each time.
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0


@dataclass
class Consumed:
    """What a consumer has done.

    Attributes:
        answered: How many messages were answered.
        refused: How many were wrong.
    """

    answered: int = 0
    refused: int = 0


@dataclass
class Consumer:
    """Replies to the messages of a stream.

    Args:
        connect: Opens the stream.
        reply: Returns what is said to messages.
        answers: Topic that answers go to.
        refusals: Topic for what is said to messages that are wrong.
        tell: Told what people should know.
        stopping: To be set when it is to end.

    Attributes:
        consumed: What was done so far.
    """

    connect: Callable[[], Stream]
    reply: Callable[[Sequence[Message]], Sequence[Reply]]
    answers: str
    refusals: str
    tell: Callable[[str], None]
    stopping: Event = field(default_factory=Event)
    consumed: Consumed = field(default_factory=Consumed)
    _pause: float = field(default_factory=lambda: _FIRST_PAUSE_SECONDS)

    def run(self, *, until_end: bool = False) -> None:
        """Reply until told to stop, or all there is has been read; what was read by then is replied to.

        Args:
            until_end: Whether to end where the stream does.

        Raises:
            MlopsError: It cannot go on; nothing is lost, and the next run goes on where it was.
        """
        stream: Stream | None = self.connect()
        while stream is not None:
            try:
                with closing(stream):
                    self._follow(stream, until_end)
                return
            except StreamLost as lost:
                stream = self._connect_again(lost)

    def _follow(self, stream: Stream, until_end: bool) -> None:
        while not (self.stopping.is_set() or (until_end and stream.is_at_end)):
            if read := stream.read(_READING_SECONDS):
                self._answer(stream, read)
                self._pause = _FIRST_PAUSE_SECONDS

    def _connect_again(self, lost: StreamLost) -> Stream | None:
        """Return the stream once it can be opened again; None if told to stop before."""
        while True:
            self.tell(f"{lost}; trying again in {self._pause:g} s")
            if self.stopping.wait(self._pause):
                return None
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
            try:
                return self.connect()
            except StreamLost as again:
                lost = again

    def _answer(self, stream: Stream, read: Sequence[Message]) -> None:
        replies = self.reply(read)
        stream.commit([self._outgoing(reply) for reply in replies], read)
        refused = sum(reply.is_refused for reply in replies)
        self.consumed.refused += refused
        self.consumed.answered += len(replies) - refused

    def _outgoing(self, reply: Reply) -> Outgoing:
        topic = self.refusals if reply.is_refused else self.answers
        return Outgoing(topic, reply.message.key, dumped(reply.body))
