"""What is written: one msgpack array a record, whose first element says which kind it is.

Fields are only ever added at the end, with a default, so that old segments stay readable. All times are
microseconds since 1970, UTC.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

LABEL = "label"
RATING = "rating"
# Which side of a traffic split answered. The answers of the shadow the caller never saw: they stand beside
# the other arm's of the same id. A fallback is the champion's in place of a challenger that failed.
CHAMPION, CHALLENGER, SHADOW, FALLBACK = "champion", "challenger", "shadow", "fallback"
# Rows of a file that was scored as a whole.
BATCH = "batch"
# Messages of a stream.
STREAM = "stream"
# With these statuses the gateway answers requests whose input was valid: the model has no answer for
# the rows, or something of ours broke. All other refusals are about the request.
MODEL_FAILED = (422, 500)


def kpi(name: str) -> str:
    """Return the kind of feedback that is a value of a business KPI."""
    return f"kpi:{name}"


class Schema(msgspec.Struct, array_like=True, tag="S", frozen=True):
    """What the answers that name its number have in common.

    Attributes:
        number: As the answers of this segment name it.
        model: Model name.
        version: Version that answers.
        columns: Input columns, in the order in which answers hold their values.
    """

    number: int
    model: str
    version: str
    columns: tuple[str, ...]


class Answers(msgspec.Struct, array_like=True, tag="A", gc=False):
    """One request's answers.

    Attributes:
        base: Prediction id of the first row; row n has ``base-n``.
        served_at: When the answer was made.
        arm: Which side of a traffic split answered; :data:`SHADOW` if the caller never saw it.
        caller: Who asked.
        latency_us: Time from the whole request's arrival to its answer, microseconds.
        probe: Whether the platform itself asked.
        event_times: When each row's event happened; None if it was when they were served.
        inputs: Values by column, in the schema's order, each with one value a row.
        outputs: The prediction of each row.
        entities: Whom or what each row is about; None if nobody said, of a row or of any.
        schema: Number of the :class:`Schema`, which whoever writes the answers fills in.
        traffic: Serial of the traffic record by which the arm was chosen; 0 if the traffic was not split.
    """

    base: str
    served_at: int
    arm: str
    caller: str
    latency_us: int
    probe: bool
    event_times: list[int] | None
    inputs: Sequence[Sequence[Any]]
    outputs: list[Any]
    entities: list[str | None] | None = None
    schema: int = -1
    traffic: int = 0


class Feedback(msgspec.Struct, array_like=True, tag="L"):
    """What turned out to be true for predictions, by their ids.

    Attributes:
        model: Model name.
        kind: :data:`LABEL`, :data:`RATING` or ``kpi:NAME``.
        received_at: When it came. Of two values observed at one time, the one received later counts.
        items: Prediction id, value, and when it was observed.
    """

    model: str
    kind: str
    received_at: int
    items: list[tuple[str, Any, int]]


class EntityFeedback(msgspec.Struct, array_like=True, tag="E"):
    """What turned out to be true for entities, for whom does not know prediction ids.

    Attributes:
        model: Model name.
        kind: As in :class:`Feedback`.
        received_at: As in :class:`Feedback`.
        items: Entity, time that the value is about, value, and when it was observed. It belongs to the
            newest prediction for the entity whose event was at or before the time.
    """

    model: str
    kind: str
    received_at: int
    items: list[tuple[str, int, Any, int]]


class Failure(msgspec.Struct, array_like=True, tag="F"):
    """A request that was refused, or that the model failed on; the status tells which.

    Attributes:
        model: Model name.
        occurred_at: When.
        status: HTTP status.
        message: What was wrong.
        caller: Who asked.
        base: The id that the request's answers would have had, if it came so far.
        version: The version that failed, likewise.
        arm: As in :class:`Answers`.
        traffic: As in :class:`Answers`.
        entity: Whom or what the request was about, if all its rows were about one.
    """

    model: str
    occurred_at: int
    status: int
    message: str
    caller: str
    base: str = ""
    version: str = ""
    arm: str = ""
    traffic: int = 0
    entity: str | None = None


class End(msgspec.Struct, array_like=True, tag="Z", frozen=True):
    """The last record of a segment whose writer ended it; one that was killed leaves none."""


Record = Schema | Answers | Feedback | EntityFeedback | Failure | End

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


def encode(record: Record) -> bytes:
    """Return a record's bytes.

    Whole numbers beyond 64 bits, which msgpack does not know, are written as floating point.
    """
    try:
        return _encoder.encode(record)
    except OverflowError:
        return _encoder.encode(_in_64_bits(msgspec.to_builtins(record)))


def decode(payload: "bytes | memoryview") -> Record:
    """Return the record of some bytes.

    Raises:
        ValueError: They are none that this version knows.
    """
    try:
        record: Record = _decoder.decode(payload)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ValueError(str(error)) from error
    return record


def _in_64_bits(value: Any) -> Any:
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value)
    if isinstance(value, list | tuple):
        return [_in_64_bits(each) for each in value]
    return value
