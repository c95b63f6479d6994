"""The bytes that something is kept as: the number of the form they are of, then its fields."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True)
class ByteForm:
    """The one form in which a kind of thing is written, and read again.

    Attributes:
        name: What the thing is called in messages.
        number: Of the form; another one whenever the fields change.
        remedy: What to do about one of another form.
    """

    name: str
    number: int
    remedy: str = "make it anew"

    def write(self, *fields: Any) -> bytes:
        """Return the bytes of some fields, which msgpack has to have a word for."""
        return msgspec.msgpack.encode((self.number, *fields))

    @contextmanager
    def reading(self, content: bytes) -> Iterator[list[Any]]:
        """Give out the fields that :meth:`write` was given, to be made sense of in the block.

        Raises:
            ValueError: These are no such bytes, they are of another form, or the block failed on them.
        """
        try:
            number, *fields = msgspec.msgpack.decode(content)
            if number != self.number:
                raise ValueError(
                    f"it is of form {number}, and this platform reads {self.number}; {self.remedy}"
                )
            yield fields
        except (msgspec.DecodeError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(f"no {self.name}: {error}") from error
