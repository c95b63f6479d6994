"""What happened at the endpoint in a window, and what its predictions cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.assessment.history import History
from mlops_assets.monitoring.assessment.record import Told
from mlops_assets.monitoring.assessment.subject import Span, Subject
from mlops_assets.monitoring.service.changes import service_changes
from mlops_assets.monitoring.service.cost import Cost, cost_of
from mlops_assets.monitoring.service.hours import ServiceHours, first_rows, service_hours, summary
from mlops_assets.prediction_log.records import BATCH, MODEL_FAILED, STREAM
from mlops_assets.prediction_log.served_window import ServedWindow

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_KINDS = {
    "p50": "latency",
    "p99": "latency",
    "failed": "errors",
    "refused": "errors",
    "requests": "throughput",
    "cost": "cost",
}


@dataclass(frozen=True, eq=False)
class Failures:
    """Requests that were not answered.

    Attributes:
        times: When each arrived; datetime64[us], shape (n,).
        statuses: What it was told, shape (n,).
    """

    times: "Array"
    statuses: "Array"

    @property
    def failed(self) -> "Array":
        """Which had valid input that the model failed on; shape (n,)."""
        import numpy as np

        return np.isin(self.statuses, sorted(MODEL_FAILED))


@dataclass(frozen=True, eq=False)
class ServiceFound:
    """What happened at the endpoint.

    Attributes:
        hours: By the hour, for the windows after this one.
        told: Figures beside those of the same hours before, alarms first.
        latency_ms: Quantiles of the answer time, by name.
        cost: Of predictions.
    """

    hours: ServiceHours | None
    told: Sequence[Told]
    latency_ms: dict[str, float]
    cost: Cost


def service_of(
    served: ServedWindow, failures: Failures, subject: Subject, span: Span, history: History
) -> ServiceFound:
    """Return what happened at the endpoint in a window.

    Args:
        served: The window of the prediction log.
        failures: Requests that were not answered in it.
        subject: The version.
        span: The window.
        history: The windows before it.
    """
    import numpy as np

    at, took, waited, alone, together = [], [], 0, 0, 0
    for batch in served.base(("served_at", "latency_us", "arm", "prediction_id")):
        nobody_waited = np.isin(batch["arm"].to_pandas(), (BATCH, STREAM))
        together += int(nobody_waited.sum())
        first = first_rows(batch["prediction_id"]) & ~nobody_waited
        alone += int((~nobody_waited).sum())
        waited += int(first.sum())
        at.append(batch["served_at"].to_numpy()[first])
        took.append(batch["latency_us"].to_numpy()[first] / 1000)
    answered = np.concatenate([np.empty(0, "datetime64[us]"), *at])
    latency = np.concatenate([np.empty(0), *took])
    failed = failures.failed
    hours = None
    if waited or len(failures.times) or history.hours is not None:
        hours = service_hours(
            span.start, span.end, answered, latency, failures.times[failed], failures.times[~failed]
        )
    cost = cost_of(
        alone,
        together,
        subject.processor,
        subject.rules.gates.cost.price_per_cpu_hour,
        subject.spec.monitoring.costs,
        float(latency.sum()) / 1000,
    )
    quantiles = {} if hours is None else _told_latency(latency)
    told = [*_changes(hours, subject, history), *_over(cost, subject), *_resources(cost, span)]
    return ServiceFound(hours, told, quantiles, cost)


def kind_of(figure: str) -> str:
    """Return the kind of alarm that a figure of the service raises."""
    return _KINDS[figure]


def _changes(hours: ServiceHours | None, subject: Subject, history: History) -> list[Told]:
    before = history.hours
    if hours is None:
        return []
    service = summary(hours)
    plain = Told(
        name="service",
        alarm=False,
        says=f"{service.requests:,} requests, {service.failed_share:.2%} failed, "
        f"{service.refused_share:.2%} refused",
        figures={"requests": service.requests, "per_second": service.per_second, "at_once": service.at_once},
    )
    if before is None:
        return [plain]
    found = service_changes(before, hours, subject.budget.service)
    changes = [
        Told(
            name=each.figure,
            alarm=each.alarm,
            says=each.told,
            figures={"now": each.now, "usual": each.usual, "p_value": each.p_value},
        )
        for each in found
    ]
    return [*changes, plain]


def _over(cost: Cost, subject: Subject) -> list[Told]:
    """Return what to say of the processor's cost beside what the policy allows."""
    limit, of_processor = subject.rules.gates.cost.max_per_1000, cost.parts.get("processor")
    if of_processor is None or limit is None:
        return []
    figures: dict[str, float | str | None] = {"processor": of_processor, "limit": limit}
    return [Told(name="cost", alarm=of_processor > limit, says=cost.told, figures=figures)]


def _resources(cost: Cost, span: Span) -> list[Told]:
    """Return what to say of the processor time that a window's answers took."""
    if cost.seconds is None:
        return []
    share = cost.seconds / (span.end - span.start).total_seconds()
    return [
        Told(
            name="resources",
            alarm=False,
            says=f"{cost.seconds:.3g} processor seconds, {share:.2%} of one processor",
            figures={"processor_seconds": cost.seconds, "of_a_processor": share},
        )
    ]


def _told_latency(latency: "Array") -> dict[str, float]:
    import numpy as np

    if not len(latency):
        return {}
    return {name: float(np.quantile(latency, share)) for name, share in (("p50", 0.5), ("p99", 0.99))}
