"""What a gateway's worker processes have counted: in a form that is handed about, and added up."""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Literal

import msgspec
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from mlops_assets.serving.meters import MODEL_BYTES, Meters, Traffic
from mlops_assets.serving.problems import Problem

Extent = Literal["problems", "traffic", "all"]
"""Only what is wrong; what clients had as well; or also all that Prometheus is told."""
_Sample = tuple[str, tuple[tuple[str, str], ...]]


class Family(msgspec.Struct):
    """A metric that adds up over workers, with all its labels.

    Attributes:
        name: Its name.
        documentation: What it counts.
        kind: Prometheus' word for what it is.
        samples: Name, labels and value of each sample.
    """

    name: str
    documentation: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]

    @classmethod
    def of(cls, metric: Metric) -> "Family":
        """Return a metric of Prometheus' client, but for when it was made, which does not add up."""
        samples = [
            (sample.name, sample.labels, sample.value)
            for sample in metric.samples
            if not sample.name.endswith("_created")
        ]
        return cls(metric.name, metric.documentation, metric.type, samples)

    def metric(self) -> Metric:
        """Return it as a metric of Prometheus' client."""
        metric = Metric(self.name, self.documentation, self.kind)
        for sample in self.samples:
            metric.add_sample(*sample)
        return metric


class Requests(msgspec.Struct):
    """What clients had of one version; see :class:`~mlops_assets.serving.meters.Traffic`."""

    model: str
    version: str
    rows: int
    errors: int
    refused: int
    turned_away: int
    recent: list[float]

    @classmethod
    def all_of(cls, traffic: Mapping[tuple[str, str], Traffic]) -> list["Requests"]:
        """Return what clients had, by model and version."""
        return [
            cls(*key, had.rows, had.errors, had.refused, had.turned_away, list(had.recent))
            for key, had in traffic.items()
        ]


class Counts(msgspec.Struct):
    """What was counted, by one worker or by several.

    Attributes:
        since: When counting began, naive UTC.
        families: What adds up.
        requests: What clients had of each version.
        problems: What is wrong now, besides what the routes tell.
    """

    since: datetime
    families: list[Family]
    requests: list[Requests]
    problems: list[Problem]

    @classmethod
    def of(cls, meters: Meters, problems: Iterable[Problem] = (), *, extent: Extent = "all") -> "Counts":
        """Return what some meters show.

        Args:
            meters: The meters.
            problems: What is wrong now with whoever counts.
            extent: How much is asked for: the less, the sooner it is there.
        """
        families, requests = [], []
        if extent == "all":  # of a thousand models some tenths of a second
            families = [Family.of(metric) for metric in meters.metrics() if _adds_up(metric)]
        if extent != "problems":
            requests = Requests.all_of(meters.traffic)
        return cls(meters.since, families, requests, list(problems))

    @classmethod
    def together(cls, counts: Iterable["Counts"]) -> "Counts":
        """Return what some have counted together; at least one."""
        every = list(counts)
        return cls(
            min(each.since for each in every),
            _added(family for each in every for family in each.families),
            Requests.all_of(_traffic(requests for each in every for requests in each.requests)),
            list(dict.fromkeys(problem for each in every for problem in each.problems)),
        )

    @property
    def traffic(self) -> dict[tuple[str, str], Traffic]:
        """What clients had, by model and version."""
        return _traffic(self.requests)

    def text(self, meters: Meters) -> bytes:
        """Return the counters, with what some meters show as it is now, in Prometheus' text form."""
        now = [metric for metric in meters.metrics() if not _adds_up(metric)]
        return generate_latest(_Shown([*(family.metric() for family in self.families), *now]))


Everyone = Callable[[Extent], Awaitable[Counts]]
"""Tells what all workers of a gateway have counted."""


def _adds_up(metric: Metric) -> bool:
    return metric.type in ("counter", "histogram") or metric.name == MODEL_BYTES


class _Shown(Collector):
    """Metrics as they are."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def _traffic(requests: Iterable[Requests]) -> dict[tuple[str, str], Traffic]:
    traffic: defaultdict[tuple[str, str], Traffic] = defaultdict(Traffic)
    for had in requests:
        added = traffic[had.model, had.version]
        added.rows += had.rows
        added.errors += had.errors
        added.refused += had.refused
        added.turned_away += had.turned_away
        added.recent = deque([*added.recent, *had.recent])
    return dict(traffic)


def _added(families: Iterable[Family]) -> list[Family]:
    added: dict[str, Family] = {}
    values: defaultdict[str, dict[_Sample, float]] = defaultdict(dict)
    for family in families:
        added.setdefault(family.name, family)
        known = values[family.name]
        for name, labels, value in family.samples:
            sample = name, tuple(labels.items())
            known[sample] = known.get(sample, 0.0) + value
    return [
        msgspec.structs.replace(
            family, samples=[(n, dict(labels), v) for (n, labels), v in values[name].items()]
        )
        for name, family in added.items()
    ]
