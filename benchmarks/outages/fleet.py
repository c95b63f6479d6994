"""200 models on 25 shared sources, of which each reads one and 5 to 15 of its 20 columns."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from mlops_assets.monitoring.incidents.alarm import Upstream
from mlops_assets.monitoring.incidents.upstream import WatchedModel

MODELS, SOURCES, TEAMS = 200, 25, 10
NUMBERS, CATEGORIES = 14, 6
HISTORY, WATCHED = 60, 85
START = datetime(2025, 9, 1)
DAY = timedelta(days=1)
# A new version of each model, once in so many days.
DEPLOYED_EVERY = 30

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Column:
    """A column of a source.

    Attributes:
        name: Its name.
        centre: Mean of a number; of a category, nothing.
        spread: Standard deviation of a number.
        skewed: Whether its logarithm is normal.
        shares: Share of each value of a category.
        days: How much each day's mean lies off, in deviations; of a category, how much shares do.
    """

    name: str
    centre: float
    spread: float
    skewed: bool
    shares: Array | None
    days: Array


@dataclass(frozen=True)
class Source:
    """A table that models share."""

    name: str
    columns: dict[str, Column]

    @property
    def identity(self) -> str:
        """As lineage calls it."""
        return f"table {self.name} in $WAREHOUSE"


@dataclass(frozen=True)
class Model:
    """A model: a saturating linear rule, which is enough for faults to have consequences.

    Attributes:
        name: Its name.
        owner: Its team.
        source: What it reads.
        columns: Which columns.
        weights: How much it depends on each; they sum to 1.
        target: Column of its labels.
        rows: Mean number of requests a day.
        releases: Days, counted from the first watched one, on which a version was deployed.
    """

    name: str
    owner: str
    source: Source
    columns: tuple[str, ...]
    weights: Array
    target: str
    rows: int
    releases: tuple[int, ...]

    def version(self, day: int) -> tuple[str, datetime]:
        """Return the version that serves on a day, and since when."""
        past = [release for release in self.releases if release <= day]
        return str(len(past)), START + (HISTORY + past[-1]) * DAY

    def watched(self, day: int) -> WatchedModel:
        """Return the model as a pass after a day sees it."""
        version, deployed = self.version(day)
        source = self.source.identity
        return WatchedModel(
            model=self.name,
            owner=self.owner,
            risk="limited",
            version=version,
            deployed_at=deployed,
            reads=frozenset(Upstream(source=source, column=column) for column in self.columns),
            labels=Upstream(source=source, column=self.target),
            judged_until=START + (HISTORY + day + 1) * DAY,
        )


def fleet(generator: np.random.Generator) -> list[Model]:
    """Return a fleet."""
    sources = [_source(f"source_{n:02}", generator) for n in range(SOURCES)]
    return [_model(n, sources[n % SOURCES], generator) for n in range(MODELS)]


def autoregression(generator: np.random.Generator, days: int, deviation: float, memory: float) -> Array:
    """Return what each day differs by, which resembles that of the day before."""
    found = np.empty(days)
    found[0] = generator.normal(0, deviation)
    for day in range(1, days):
        found[day] = memory * found[day - 1] + generator.normal(0, deviation * np.sqrt(1 - memory**2))
    return found


def _source(name: str, generator: np.random.Generator) -> Source:
    days = HISTORY + WATCHED
    columns = []
    for number in range(NUMBERS + CATEGORIES):
        week = generator.normal(0, 0.08, 7)[np.arange(days) % 7]
        off = week + autoregression(generator, days, 0.06, 0.5)
        if number < NUMBERS:
            centre = float(10 ** generator.uniform(-1, 4))
            spread = centre * generator.uniform(0.1, 0.6)
            skewed = bool(generator.random() < 0.4)
            columns.append(Column(f"number_{number:02}", centre, spread, skewed, None, off))
        else:
            shares = generator.dirichlet(np.full(generator.integers(3, 9), 2.0))
            columns.append(Column(f"category_{number - NUMBERS:02}", 0.0, 1.0, False, shares, off))
    return Source(name, {column.name: column for column in columns})


def _model(number: int, source: Source, generator: np.random.Generator) -> Model:
    count = int(generator.integers(5, 16))
    columns = tuple(sorted(generator.choice(list(source.columns), count, replace=False)))
    first = int(generator.integers(-DEPLOYED_EVERY, 0))
    return Model(
        name=f"model_{number:03}",
        owner=f"team:{number % TEAMS}",
        source=source,
        columns=columns,
        weights=generator.dirichlet(np.full(count, 0.7)),
        target=f"outcome_{(number // SOURCES) % 2}",
        rows=int(np.exp(generator.uniform(np.log(300), np.log(1500)))),
        releases=tuple(range(first, WATCHED, DEPLOYED_EVERY)),
    )
