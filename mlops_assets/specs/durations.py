"""Durations as people write them in a spec: ``90d``, ``12h``, ``30m``, ``2w``."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PATTERN = re.compile(r"(\d{1,9})\s*([mhdw])")
_LONGEST = timedelta(days=365_000)


def parse_duration(text: Any) -> timedelta:
    """Return the duration that ``text`` names.

    Raises:
        ValueError: ``text`` is not a whole number followed by m, h, d or w, or is longer than
            a thousand years.
    """
    if isinstance(text, timedelta):
        return text
    match = _PATTERN.fullmatch(str(text).strip())
    if not match:
        raise ValueError(f"{text!r} is not a duration; write a number and m, h, d or w, such as 90d")
    number, unit = int(match[1]), _UNITS[match[2]]
    if number > _LONGEST / timedelta(**{unit: 1}):
        raise ValueError(f"{text!r} is longer than a thousand years")
    return timedelta(**{unit: number})


def format_duration(duration: timedelta) -> str:
    """Return the shortest spec form of ``duration``; the inverse of :func:`parse_duration`."""
    minutes = int(duration.total_seconds() // 60)
    for unit, size in (("d", 1440), ("h", 60)):
        if minutes % size == 0:
            return f"{minutes // size}{unit}"
    return f"{minutes}m"


def parse_time(text: str) -> datetime:
    """Return the instant that ``text`` names, as naive UTC.

    Times are kept naive and in UTC throughout; a time without a zone is taken as it stands.

    Raises:
        ValueError: ``text`` is not an ISO 8601 date or time.
    """
    try:
        return naive_utc(datetime.fromisoformat(text))
    except ValueError:
        raise ValueError(f"{text!r} is not a time; write it like 2013-04-01 or 2013-04-01T06:00") from None


def naive_utc(time: datetime) -> datetime:
    """Return ``time`` as naive UTC; one without a zone is taken as it stands.

    Raises:
        ValueError: In UTC it would lie before the year 1 or after 9999.
    """
    try:
        return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise ValueError(f"{time} is out of range") from None


def utc_now() -> datetime:
    """Return the present as naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    # What a spec does not tighten is None there.
    PlainSerializer(format_duration, return_type=str, when_used="unless-none"),
    WithJsonSchema({"type": "string", "pattern": r"^\d+\s*[mhdw]$", "examples": ["90d", "12h"]}),
]

UtcTime = Annotated[
    datetime,
    AfterValidator(naive_utc),
    # What leaves us says its zone: others read it too.
    PlainSerializer(lambda time: f"{time.isoformat()}Z", return_type=str, when_used="json"),
]
