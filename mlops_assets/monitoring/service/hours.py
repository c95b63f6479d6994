"""What happened at the endpoint in each hour: answers, how long they took, failures and refusals.

A request counts once, however many rows it has: its rows were answered together. Latency is what the gateway
took from the whole request's arrival to its answer, waiting included.

Source: Serfling, "Approximation Theorems of Mathematical Statistics" (1980), section 2.3, for the error of a
quantile between order statistics.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.byte_form import ByteForm

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

_HOUR = 3_600_000_000
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
# A quantile needs so many answers beyond it.
_BEYOND = 5
_COUNTS = ("answered", "failed", "refused", "busy_seconds")
_FORM = ByteForm("hours of service", 1)


@dataclass(frozen=True, eq=False)
class ServiceHours:
    """What happened in each hour of some hours in a row.

    Attributes:
        start: When the first begins, naive UTC.
        answered: Requests that were answered, shape (hours,).
        failed: Requests with valid input that the model failed on.
        refused: Requests that were themselves wrong.
        latency_ms: By the names of :data:`QUANTILES`, NaN where too few were answered; shape (hours,).
        latency_error: Standard error of the logarithm of each of these.
        busy_seconds: Sum of the time that all answers took.
    """

    start: datetime
    answered: "Array"
    failed: "Array"
    refused: "Array"
    latency_ms: "Mapping[str, Array]"
    latency_error: "Mapping[str, Array]"
    busy_seconds: "Array"

    def __len__(self) -> int:
        return len(self.answered)

    @property
    def starts(self) -> list[datetime]:
        """When each hour begins."""
        import numpy as np

        begin = np.datetime64(self.start, "us").astype("int64")
        return [each.item() for each in (begin + np.arange(len(self)) * _HOUR).astype("datetime64[us]")]

    def before(self, later: "ServiceHours") -> "ServiceHours":
        """Return these hours and later ones together; hours in between are unknown.

        Raises:
            ValueError: The later ones begin before these end.
        """
        import numpy as np

        gap = round((later.start - self.start).total_seconds() / 3600) - len(self)
        if gap < 0:
            raise ValueError(f"hours from {later.start} on are known already")

        def joined(a: "Array", b: "Array") -> "Array":
            return np.concatenate([a, np.full(gap, np.nan), b])

        def each(a: "Mapping[str, Array]", b: "Mapping[str, Array]") -> "dict[str, Array]":
            return {name: joined(a[name], b[name]) for name in QUANTILES}

        return ServiceHours(
            self.start,
            joined(self.answered, later.answered),
            joined(self.failed, later.failed),
            joined(self.refused, later.refused),
            each(self.latency_ms, later.latency_ms),
            each(self.latency_error, later.latency_error),
            joined(self.busy_seconds, later.busy_seconds),
        )

    def to_bytes(self) -> bytes:
        """Return the one byte form."""
        arrays = [getattr(self, name) for name in _COUNTS]
        arrays += [part[name] for part in (self.latency_ms, self.latency_error) for name in QUANTILES]
        return _FORM.write(self.start.isoformat(), [each.astype("<f8").tobytes() for each in arrays])

    @classmethod
    def from_bytes(cls, content: bytes) -> "ServiceHours":
        """Return what :meth:`to_bytes` wrote.

        Raises:
            ValueError: These are no such bytes.
        """
        import numpy as np

        with _FORM.reading(content) as (start, written):
            answered, failed, refused, busy, *rest = (np.frombuffer(each, "<f8") for each in written)
            latency = dict(zip(QUANTILES, rest[: len(QUANTILES)], strict=True))
            errors = dict(zip(QUANTILES, rest[len(QUANTILES) :], strict=True))
            return cls(datetime.fromisoformat(start), answered, failed, refused, latency, errors, busy)


def service_hours(
    start: datetime,
    end: datetime,
    answered_at: "Array",
    latency_ms: "Array",
    failed_at: "Array",
    refused_at: "Array",
) -> ServiceHours:
    """Return what happened in each hour from ``start`` to ``end``.

    Args:
        start: A whole hour, naive UTC.
        end: Likewise, exclusive.
        answered_at: When each request was answered; datetime64, shape (requests,). What nobody waited for,
            such as files and streams, is to be left out.
        latency_ms: How long each took, shape (requests,).
        failed_at: When requests with valid input failed; datetime64.
        refused_at: When requests were refused; datetime64.
    """
    import numpy as np

    hours = round((end - start).total_seconds() / 3600)
    origin = np.datetime64(start, "us").astype("int64")

    def places(times: "Array") -> "Array":
        place = (times.astype("datetime64[us]").astype("int64") - origin) // _HOUR
        return np.where((place >= 0) & (place < hours), place, hours)

    def counts(times: "Array") -> "Array":
        return np.bincount(places(times), minlength=hours + 1)[:hours].astype(float)

    place = places(answered_at)
    order = np.lexsort((latency_ms, place))
    answered = counts(answered_at)
    ends = np.cumsum(answered).astype(int)
    quantiles, errors = _quantiles(latency_ms[order], ends - answered.astype(int), answered.astype(int))
    busy = np.bincount(place, latency_ms, hours + 1)[:hours] / 1000
    return ServiceHours(start, answered, counts(failed_at), counts(refused_at), quantiles, errors, busy)


def first_rows(prediction_ids: "pa.Array | pa.ChunkedArray") -> "Array":
    """Return which rows are the first of their request, so that each request is counted once; shape (n,)."""
    import pyarrow.compute as pc

    found: Array = pc.invert(pc.match_substring(prediction_ids, "-")).to_numpy(zero_copy_only=False)
    return found


def _quantiles(
    latency: "Array", begins: "Array", counts: "Array"
) -> "tuple[dict[str, Array], dict[str, Array]]":
    """Return quantiles of each hour's latencies, which are sorted, and the errors of their logarithms."""
    import numpy as np

    values, errors = {}, {}
    known = np.append(latency, np.nan)

    def at(rank: "Array", telling: "Array") -> "Array":
        inside = begins + np.clip(rank, 0, np.maximum(counts - 1, 0)).astype(int)
        return np.where(telling, known[np.where(telling, inside, len(latency))], np.nan)

    for name, share in QUANTILES.items():
        telling = counts * min(share, 1 - share) >= _BEYOND
        spread = np.sqrt(counts * share * (1 - share))
        rank = np.ceil(counts * share) - 1
        values[name] = at(rank, telling)
        with np.errstate(divide="ignore", invalid="ignore"):
            apart = np.log(at(np.ceil(rank + spread), telling) / at(np.floor(rank - spread), telling))
        errors[name] = apart / 2
    return values, errors


@dataclass(frozen=True)
class Service:
    """A window's service, as it is told.

    Attributes:
        requests: Requests that came.
        per_second: Of these, a second on average.
        failed_share: Share of valid requests that the model failed on; 0 of none.
        refused_share: Share of all requests that were refused; 0 of none.
        latency_ms: Median over the window's hours of each hourly quantile; NaN where no hour had enough.
        at_once: Requests that were being answered at one time, on average.
    """

    requests: int
    per_second: float
    failed_share: float
    refused_share: float
    latency_ms: dict[str, float]
    at_once: float


def summary(hours: ServiceHours) -> Service:
    """Return what happened in some hours together."""
    import numpy as np

    answered, failed, refused = (
        float(np.nansum(counts)) for counts in (hours.answered, hours.failed, hours.refused)
    )
    every, seconds = answered + failed + refused, 3600.0 * max(len(hours), 1)
    latency = {
        name: float(np.nanmedian(values)) if np.isfinite(values).any() else math.nan
        for name, values in hours.latency_ms.items()
    }
    return Service(
        requests=int(every),
        per_second=every / seconds,
        failed_share=failed / max(answered + failed, 1.0),
        refused_share=refused / max(every, 1.0),
        latency_ms=latency,
        at_once=float(np.nansum(hours.busy_seconds)) / seconds,
    )
