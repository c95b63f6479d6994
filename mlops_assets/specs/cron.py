"""Times that come again and again, as crontab writes them; checked here, kept by the orchestrator."""

import re
from typing import Annotated

from pydantic import AfterValidator

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_ITEM = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/([1-9]\d?))?", re.ASCII)


def _cron(text: str) -> str:
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"{text!r} has {len(fields)} fields; a cron has five: minute hour day month weekday")
    for field, (name, low, high) in zip(fields, _FIELDS, strict=True):
        for item in field.split(","):
            match = _ITEM.fullmatch(item)
            numbers = [int(number) for number in (match[1], match[2]) if number] if match else [-1]
            if not all(low <= number <= high for number in numbers) or sorted(numbers) != numbers:
                raise ValueError(
                    f"{text!r}: {item!r} is no {name}; write *, numbers {low}-{high}, a-b or */n"
                )
    return " ".join(fields)


Cron = Annotated[str, AfterValidator(_cron)]
