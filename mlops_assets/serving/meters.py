"""What the gateway counts, in Prometheus' form."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Meters:
    """The gateway's counters; one set per gateway, so that tests may run several in one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "mlops_gateway_requests_total",
            "Requests to a model, by the version that answered and HTTP status.",
            ("model", "version", "status"),
            registry=self._registry,
        )
        self.rows = Counter(
            "mlops_gateway_rows_total",
            "Rows answered.",
            ("model", "version"),
            registry=self._registry,
        )
        self.seconds = Histogram(
            "mlops_gateway_request_seconds",
            "Time from request to answer.",
            ("model",),
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
            registry=self._registry,
        )
        self.incidents = Counter(
            "mlops_gateway_incidents_total",
            "Problems that arose: a version that is not loaded, a registry or log out of reach.",
            ("kind", "model"),
            registry=self._registry,
        )
        self.resident = Gauge(
            "mlops_gateway_resident_versions",
            "Loaded versions.",
            ("model",),
            registry=self._registry,
        )

        self.problems = Gauge(
            "mlops_gateway_problems",
            "Problems there are now.",
            ("kind", "model"),
            registry=self._registry,
        )

    def show(self, resident: Mapping[str, int], problems: Iterable[tuple[str, str | None]]) -> None:
        """Set what is as it is now.

        Args:
            resident: Loaded versions by model.
            problems: Kind and model of each problem.
        """
        for gauge in (self.resident, self.problems):
            gauge.clear()
        for model, versions in resident.items():
            self.resident.labels(model).set(versions)
        for kind, concerned in problems:
            self.problems.labels(kind, concerned or "").inc()

    def text(self) -> bytes:
        """Return all counters in Prometheus' text form."""
        return generate_latest(self._registry)
