"""What the gateway counts: in Prometheus' form for whoever collects it, and summed up for its own page."""

import logging
from bisect import bisect_left
from collections import Counter as Counted
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from mlops_assets.prediction_log.records import MODEL_FAILED
from mlops_assets.serving.plausibility import Plausibility
from mlops_assets.serving.problems import Problem
from mlops_assets.specs.durations import utc_now

log = logging.getLogger("mlops_assets.gateway")

RECENT = 500
OVERLOADED = 503
MODEL_BYTES = "mlops_gateway_model_bytes"
# Upper ends of what a histogram tells apart.
_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_BOUNDS = [*map(str, _SECONDS), "+Inf"]
# Nobody known, nothing of theirs, too much of it.
DENIED = (401, 403, 429)


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


class _Outcomes:
    """The requests to one version that ended with one status."""

    def __init__(self) -> None:
        self.requests, self.rows, self.seconds = 0, 0, 0.0
        self.took = [0] * (len(_SECONDS) + 1)

    def count(self, rows: int, seconds: float) -> None:
        self.requests += 1
        self.rows += rows
        self.seconds += seconds
        self.took[bisect_left(_SECONDS, seconds)] += 1


class Meters(Collector):
    """The gateway's counters; one set per gateway, so that tests may run several in one process.

    Attributes:
        since: When counting began, naive UTC.
        traffic: By model and version.
        incidents: Problems that arose, by kind and model.
        denied: Requests that were turned away for who sent them, by status.
        unlogged: Rows answered though the prediction log failed, by model.
        plausibility: What was unlikely in the requests of each loaded version.
        memory: Bytes that each version in memory takes.
    """

    def __init__(self) -> None:
        self.since = utc_now()
        self.traffic: defaultdict[tuple[str, str], Traffic] = defaultdict(Traffic)
        self._outcomes: defaultdict[tuple[str, str, int], _Outcomes] = defaultdict(_Outcomes)
        self.plausibility: Mapping[tuple[str, str], Plausibility] = {}
        self.memory: Mapping[tuple[str, str], int] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self.incidents = Counter(
            "mlops_gateway_incidents_total",
            "Problems that arose: a version that is not loaded, a registry or log out of reach.",
            ("kind", "model"),
            registry=self._registry,
        )
        self.shadow_dropped = Counter(
            "mlops_gateway_shadow_dropped_total",
            "Requests that the unseen arm of a rollout was not asked, because too many waited.",
            ("model",),
            registry=self._registry,
        )
        self.denied = Counter(
            "mlops_gateway_denied_total",
            "Requests of whom nobody knows (401), may not (403) or asks too much (429).",
            ("status",),
            registry=self._registry,
        )
        self.unlogged = Counter(
            "mlops_gateway_unlogged_total",
            "Rows answered though the prediction log failed.",
            ("model",),
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
        self._outcomes[model, version, status].count(rows, seconds)
        if version and not probe:
            self.traffic[model, version].count(status, rows, seconds)

    def note(self, problem: Problem) -> None:
        """Count a problem that arose, and tell of it where the process tells what it does."""
        log.error("incident %s: %s", problem.kind, problem.message)
        self.incidents.labels(problem.kind, problem.model or "").inc()

    def collect(self) -> Iterator[Metric]:
        """Yield what was counted, for Prometheus, which takes less than keeping its counters."""
        requests = CounterMetricFamily(
            "mlops_gateway_requests",
            "Requests to a model, by the version that answered and HTTP status.",
            labels=("model", "version", "status"),
        )
        rows = CounterMetricFamily("mlops_gateway_rows", "Rows answered.", labels=("model", "version"))
        seconds = HistogramMetricFamily(
            "mlops_gateway_request_seconds",
            "Time from the whole request's arrival to its answer.",
            labels=("model",),
        )
        by_version: Counted[tuple[str, str]] = Counted()
        by_model: defaultdict[str, list[_Outcomes]] = defaultdict(list)
        for (model, version, status), outcomes in self._outcomes.items():
            requests.add_metric((model, version, str(status)), outcomes.requests)
            by_version[model, version] += outcomes.rows
            by_model[model].append(outcomes)
        for labels, answered in by_version.items():
            rows.add_metric(labels, answered)
        for model, together in by_model.items():
            took = accumulate(map(sum, zip(*(each.took for each in together), strict=True)))
            buckets = [*zip(_BOUNDS, took, strict=True)]
            seconds.add_metric((model,), buckets, sum(each.seconds for each in together))
        memory = GaugeMetricFamily(
            MODEL_BYTES,
            "What a version in memory takes of it, in all workers: growth of the resident memory on load.",
            labels=("model", "version"),
        )
        for labels, taken in self.memory.items():
            memory.add_metric(labels, taken)
        yield from (requests, rows, seconds, memory, *self._implausible())

    def _implausible(self) -> Iterator[Metric]:
        labels = ("model", "version")
        outside = CounterMetricFamily(
            "mlops_gateway_outside_values",
            "Values outside what their column declares.",
            labels=(*labels, "column"),
        )
        anomalous = CounterMetricFamily(
            "mlops_gateway_anomalous_rows", "Rows with a value outside what was trained on.", labels=labels
        )
        score = CounterMetricFamily(
            "mlops_gateway_anomaly_score",
            "Sum of the rows' anomaly scores, each from 0 to 1; divided by the rows it is their mean.",
            labels=labels,
        )
        for (model, version), seen in self.plausibility.items():
            for column, values in seen.outside.items():
                outside.add_metric((model, version, column), values)
            anomalous.add_metric((model, version), seen.anomalous)
            score.add_metric((model, version), seen.score)
        yield from (outside, anomalous, score)

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

    def metrics(self) -> Iterable[Metric]:
        """Return all there is for Prometheus."""
        return self._registry.collect()
