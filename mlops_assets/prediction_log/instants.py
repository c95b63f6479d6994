"""Instants as the log keeps them: whole microseconds since 1970, UTC."""

from datetime import datetime, timedelta

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1) // _MICROSECOND


def microseconds(time: datetime) -> int:
    """Return a naive UTC time as microseconds since 1970."""
    return (time - _EPOCH) // _MICROSECOND


def instant(at: int) -> datetime:
    """Return microseconds since 1970 as naive UTC; the inverse of :func:`microseconds`."""
    return _EPOCH + timedelta(microseconds=at)


def day_of(at: int) -> str:
    """Return the day of an instant, as in ``2013-04-01``."""
    return instant(at).date().isoformat()


FIRST, LAST = microseconds(datetime.min), microseconds(datetime.max)
