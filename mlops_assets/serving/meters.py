"""What the gateway counts: in Prometheus' form for whoever collects it, and summed up for its own page."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from mlops_assets.prediction_log.records import MODEL_FAILED
from mlops_assets.specs.durations import utc_now

RECENT = 500
OVERLOADED = 503


@dataclass
class Traffic:
    """What clients had of one version since the gateway started; the platform's own probes are left out.

    Attributes:
        rows: Rows answered.
        errors: Requests with valid input that the model failed on.
        refused: Requests that were themselves wrong.
        turned_away: Requests that met an overload or a prediction log out of reach.
        recent: Seconds that the newest answered requests took, at most :data:`RECENT`.
    """

    rows: int = 0
    errors: int = 0
    refused: int = 0
    turned_away: int = 0
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def count(self, status: int, rows: int, seconds: float) -> None:
        """Add one request."""
        if status == 200:
            self.rows += rows
            self.recent.append(seconds)
        elif status in MODEL_FAILED:
            self.errors += 1
        elif status == OVERLOADED:
            self.turned_away += 1
        else:
            self.refused += 1

    def latency_ms(self, share: float) -> float | None:
        """Return the time that a share of the recent requests took at most; None if there were none."""
        ordered = sorted(self.recent)
        return 1000 * ordered[round(share * (len(ordered) - 1))] if ordered else None


@dataclass(frozen=True)
class _Counters:
    requests: Counter
    rows: Counter
    seconds: Histogram


class Meters:
    """The gateway's counters; one set per gateway, so that tests may run several in one process.

    Attributes:
        since: When counting began, naive UTC.
        traffic: By model and version.
    """

    def __init__(self) -> None:
        self.since = utc_now()
        self.traffic: defaultdict[tuple[str, str], Traffic] = defaultdict(Traffic)
        self._known: dict[tuple[str, str, int], _Counters] = {}
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "mlops_gateway_requests_total",
            "Requests to a model, by the version that answered and HTTP status.",
            ("model", "version", "status"),
            registry=self._registry,
        )
        self._rows = Counter(
            "mlops_gateway_rows_total",
            "Rows answered.",
            ("model", "version"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "mlops_gateway_request_seconds",
            "Time from the whole request's arrival to its answer.",
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
        self._resident = Gauge(
            "mlops_gateway_resident_versions",
            "Loaded versions.",
            ("model",),
            registry=self._registry,
        )
        self._problems = Gauge(
            "mlops_gateway_problems",
            "Problems there are now.",
            ("kind", "model"),
            registry=self._registry,
        )

    def count(
        self, model: str, version: str, status: int, seconds: float, *, rows: int = 0, probe: bool = False
    ) -> None:
        """Count one request; not safe to call from several threads at once.

        Args:
            model: Model name; empty if nobody serves it.
            version: The version that answered; empty if none did.
            status: HTTP status of the answer.
            seconds: Time from the whole request's arrival to its answer.
            rows: Rows answered.
            probe: Whether the platform itself asked, which is no traffic.
        """
        counters = self._of(model, version, status)
        counters.requests.inc()
        counters.rows.inc(rows)
        counters.seconds.observe(seconds)
        if version and not probe:
            self.traffic[model, version].count(status, rows, seconds)

    def _of(self, model: str, version: str, status: int) -> "_Counters":
        """Return the counters of an outcome; to look them up by their labels takes longer than to count."""
        key = (model, version, status)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Counters(
                self._requests.labels(model, version, status),
                self._rows.labels(model, version),
                self._seconds.labels(model),
            )
        return known

    def show(self, resident: Mapping[str, int], problems: Iterable[tuple[str, str | None]]) -> None:
        """Set what is as it is now.

        Args:
            resident: Loaded versions by model.
            problems: Kind and model of each problem.
        """
        for gauge in (self._resident, self._problems):
            gauge.clear()
        for model, versions in resident.items():
            self._resident.labels(model).set(versions)
        for kind, concerned in problems:
            self._problems.labels(kind, concerned or "").inc()

    def text(self) -> bytes:
        """Return all counters in Prometheus' text form."""
        return generate_latest(self._registry)
