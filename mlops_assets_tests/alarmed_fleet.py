"""A small fleet on shared sources, and the alarms that faults raise in it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mlops_assets.monitoring.incidents.alarm import Alarm, Kind, Upstream
from mlops_assets.monitoring.incidents.change import Change
from mlops_assets.monitoring.incidents.upstream import Lineage, WatchedModel
from mlops_assets.specs.alert_rules import Alerts
from mlops_assets.specs.policy_file import load_policy

DAY = timedelta(days=1)
START = datetime(2026, 3, 2)
ORDERS, WEATHER = "table orders in $WAREHOUSE", "file data/weather.parquet"
CLICKS = "function acme.clicks:load"


def rules(**changes: Any) -> Alerts:
    """Return the platform's own rules, with something else in them."""
    return Alerts.model_validate({**load_policy().alerts.model_dump(), **changes})


@dataclass
class AlarmedFleet:
    """Thirty models: eight read orders, eight the weather, four of them both, and all others clicks.

    Attributes:
        day: Which day's windows the pass looks at, from 0.
        deployed: When a model's version was deployed, by its name.
    """

    day: int = 0
    deployed: dict[str, datetime] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ("price", "region", "amount", "kind")
    readers: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            ORDERS: tuple(f"m{n:02}" for n in range(8)),
            WEATHER: tuple(f"m{n:02}" for n in range(4, 12)),
            CLICKS: tuple(f"m{n:02}" for n in range(12, 30)),
        }
    )

    @property
    def names(self) -> list[str]:
        """All models."""
        return sorted({model for models in self.readers.values() for model in models})

    @property
    def now(self) -> datetime:
        """When the pass runs."""
        return START + (self.day + 1) * DAY

    def owner(self, model: str) -> str:
        """Return a model's team."""
        return f"team:{'abc'[int(model[1:]) % 3]}"

    def models(self, judged: bool = True) -> list[WatchedModel]:
        """Return the fleet, judged up to the day or not at all."""
        return [
            WatchedModel(
                model=name,
                owner=self.owner(name),
                risk="limited",
                version=self.versions.get(name, "1"),
                deployed_at=self.deployed.get(name),
                reads=frozenset(
                    Upstream(source=source, column=column)
                    for source, models in self.readers.items()
                    if name in models
                    for column in self.columns
                ),
                labels=Upstream(source=next(s for s, m in self.readers.items() if name in m), column="late"),
                judged_until=self.now if judged else None,
            )
            for name in self.names
        ]

    @property
    def lineage(self) -> Lineage:
        """The same with what hangs on what."""
        return Lineage(self.models())

    def alarm(self, model: str, kind: Kind, subject: str = "", **more: Any) -> Alarm:
        """Return an alarm of the day's window."""
        start = START + self.day * DAY
        return Alarm(
            **{
                "model": model,
                "owner": self.owner(model),
                "risk": "limited",
                "version": self.versions.get(model, "1"),
                "deployed_at": self.deployed.get(model),
                "kind": kind,
                "subject": subject,
                "start": start,
                "end": start + DAY,
                "observed_at": self.now,
                "says": f"{kind.replace('_', ' ')} of {subject or model}",
                **more,
            }
        )

    def drift(self, model: str, source: str, column: str, move: str = "location", **more: Any) -> Alarm:
        """Return an alarm that a column of a source moved."""
        change = more.pop("change", None) or Change(move=move, factor=1000.0 if move == "scaled" else None)  # type: ignore[arg-type]
        upstream = (Upstream(source=source, column=column),)
        return self.alarm(model, "data_drift", column, change=change, upstream=upstream, **more)

    def column_fault(self, source: str, column: str, move: str = "scaled", **more: Any) -> list[Alarm]:
        """Return the alarms of all models that read a column."""
        return [self.drift(model, source, column, move, **more) for model in self.readers[source]]

    def late_table(self, source: str) -> list[Alarm]:
        """Return the alarms of all models that read a source, which has no rows."""
        upstream = (Upstream(source=source),)
        return [self.alarm(model, "missing_data", upstream=upstream) for model in self.readers[source]]

    def labels_jump(self, source: str) -> list[Alarm]:
        """Return the alarms of all models whose labels a source feeds."""
        fed = [each for each in self.models() if each.labels and each.labels.source == source]
        return [
            self.alarm(
                each.model, "label_shift", "late", upstream=(each.labels,), change=Change(move="location")
            )
            for each in fed
        ]

    def bad_deploy(self, model: str) -> list[Alarm]:
        """Return the alarms of a version that was deployed this day and is wrong."""
        self.deployed[model], self.versions[model] = START + self.day * DAY + DAY / 4, "2"
        return [
            self.alarm(model, "prediction_drift", "prediction", change=Change(move="location")),
            self.alarm(model, "performance", "roc_auc", harm="measured", effect="roc_auc .61 instead of .72"),
        ]

    def slow_gateway(self) -> list[Alarm]:
        """Return the alarms of all models, answers to which are slow."""
        return [self.alarm(name, "latency", "p99", change=Change(move="location")) for name in self.names]
