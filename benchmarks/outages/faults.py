"""The faults that are planted: what each does to the rows of a day, and what its right cause is."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from mlops_assets.monitoring.incidents.suspects import Suspect
from outages.fleet import WATCHED, Array, Model


@dataclass
class Rows:
    """What a model is asked on a day, as it arrives.

    Attributes:
        columns: Numbers, or numbers of categories; NaN where missing.
        late: Whether hardly anything arrives.
        offset: What a wrong version adds to the log odds.
        flipped: Share of labels that a wrong feed turns into 1.
        turned: Whether the world does the opposite of what the model learnt.
        slower: By what answer times are multiplied.
        failing: Share of requests that fail besides the usual ones.
    """

    columns: dict[str, Array]
    late: bool = False
    offset: float = 0.0
    flipped: float = 0.0
    turned: bool = False
    slower: float = 1.0
    failing: float = 0.0


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        name: What sort it is.
        suspects: What counts as its right cause.
        hits: Whether a model shows it by itself.
        does: What it does to that model's rows.
        subjects: Which alarms of such a model are its doing: columns, or what the platform watches.
        begin: First day.
        end: Day after the last.
    """

    name: str
    suspects: frozenset[Suspect]
    hits: Callable[[Model], bool]
    does: Callable[[Model, Rows, np.random.Generator], None]
    subjects: frozenset[str]
    begin: int = 0
    end: int = 0

    def at(self, day: int) -> bool:
        """Return whether it is there on a day."""
        return self.begin <= day < self.end


NEVER_SEEN = 20
OUTCOMES = frozenset(("prediction", "loss"))
_UNITS = (1000.0, 0.001, 1.609, 2.54, 100.0, 0.4536)
# Days between two faults of one place, so that it is known which one an alarm is due to.
_APART = 12


def schedule(models: list[Model], generator: np.random.Generator, count: int = 30) -> list[Fault]:
    """Return faults one after the other, and on every other occasion two or three at once."""
    found: list[Fault] = []
    day, places, last = 3, dict[str, int](), WATCHED - 8
    kinds = _in_some_order(count, generator)
    while kinds:
        together = int(generator.choice([1, 1, 1, 2, 2, 3]))
        for maker in kinds[:together]:
            fault, place = _placed(maker, models, places, day, generator)
            places[place] = day
            length = int(generator.integers(2, 5))
            found.append(replace(fault, begin=day, end=day + length))
        kinds = kinds[together:]
        day = min(day + int(generator.integers(2, 6)), last)
    return found


def _in_some_order(count: int, generator: np.random.Generator) -> "list[_Maker]":
    """Return what to plant in an order that leaves time between two faults of the one gateway."""
    kinds = [_MAKERS[place % len(_MAKERS)] for place in range(count)]
    while True:
        order = [kinds[place] for place in generator.permutation(count)]
        gateways = [place for place, kind in enumerate(order) if kind is _slow_gateway]
        if all(later - earlier > count / 3 for earlier, later in pairwise(gateways)):
            return order


def _placed(
    maker: "_Maker", models: list[Model], places: dict[str, int], day: int, generator: np.random.Generator
) -> "tuple[Fault, str]":
    for _ in range(1000):
        fault, place = maker(models[generator.integers(len(models))], models, generator)
        if day - places.get(place, -_APART) >= _APART:
            return fault, place
    raise RuntimeError("no place is left for another fault")


_Maker = Callable[[Model, list[Model], np.random.Generator], tuple[Fault, str]]


def _of_column(
    name: str, model: Model, column: str, change: Callable[[Array, np.random.Generator], Array]
) -> tuple[Fault, str]:
    source = model.source

    def does(_: Model, rows: Rows, generator: np.random.Generator) -> None:
        rows.columns[column] = change(rows.columns[column], generator)

    suspect = Suspect(kind="column", source=source.identity, column=column)
    hits = lambda other: other.source is source and column in other.columns  # noqa: E731
    return Fault(name, frozenset((suspect,)), hits, does, OUTCOMES | {column}), source.name


def _shared(model: Model, models: list[Model], generator: np.random.Generator, sort: str) -> str:
    """Return a column that at least two models read."""
    others = [other for other in models if other.source is model.source]
    known = [
        column
        for column in model.columns
        if column.startswith(sort) and sum(column in other.columns for other in others) > 1
    ]
    return str(generator.choice(known)) if known else ""


def _number(name: str, change: Callable[[Array, np.random.Generator], Array]) -> _Maker:
    def make(model: Model, models: list[Model], generator: np.random.Generator) -> tuple[Fault, str]:
        while not (column := _shared(model, models, generator, "number")):
            model = models[generator.integers(len(models))]
        return _of_column(name, model, column, change)

    return make


def _category(name: str, change: Callable[[Array, np.random.Generator], Array]) -> _Maker:
    def make(model: Model, models: list[Model], generator: np.random.Generator) -> tuple[Fault, str]:
        while not (column := _shared(model, models, generator, "category")):
            model = models[generator.integers(len(models))]
        return _of_column(name, model, column, change)

    return make


def _unit(model: Model, models: list[Model], generator: np.random.Generator) -> tuple[Fault, str]:
    factor = float(generator.choice(_UNITS))
    return _number("unit change", lambda values, _: values * factor)(model, models, generator)


def _nulls(model: Model, models: list[Model], generator: np.random.Generator) -> tuple[Fault, str]:
    share = generator.uniform(0.25, 1.0)

    def some_missing(values: Array, day: np.random.Generator) -> Array:
        return np.where(day.random(len(values)) < share, np.nan, values)

    return _number("nulls", some_missing)(model, models, generator)


def _renamed(values: Array, _: np.random.Generator) -> Array:
    """Give the commonest category a name that was never seen."""
    common = _by_frequency(values)[-1]
    return np.where(values == common, common + NEVER_SEEN, values)


def _joined(values: Array, _: np.random.Generator) -> Array:
    """Give two categories one name."""
    rarest, *_, common = _by_frequency(values)
    return np.where(values == common, rarest, values)


def _by_frequency(values: Array) -> Array:
    known, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    ordered: Array = known[np.argsort(counts)]
    return ordered


def _late(model: Model, models: list[Model], _: np.random.Generator) -> tuple[Fault, str]:
    def does(_: Model, rows: Rows, generator: np.random.Generator) -> None:
        rows.late = True

    source = model.source
    suspect = Suspect(kind="missing_source", source=source.identity)
    subjects = frozenset(("", *source.columns, "label", "errors", "latency")) | OUTCOMES
    fault = Fault("late table", frozenset((suspect,)), lambda other: other.source is source, does, subjects)
    return fault, source.name


def _broken_join(model: Model, models: list[Model], generator: np.random.Generator) -> tuple[Fault, str]:
    share = generator.uniform(0.2, 0.9)

    def does(_: Model, rows: Rows, day: np.random.Generator) -> None:
        for column, values in rows.columns.items():
            rows.columns[column] = np.where(day.random(len(values)) < share, np.nan, values)

    source = model.source
    suspect = Suspect(kind="broken_source", source=source.identity)
    subjects = frozenset(source.columns) | OUTCOMES
    fault = Fault("broken join", frozenset((suspect,)), lambda other: other.source is source, does, subjects)
    return fault, source.name


def _labels(model: Model, models: list[Model], generator: np.random.Generator) -> tuple[Fault, str]:
    share = generator.uniform(0.3, 0.8)

    def does(_: Model, rows: Rows, day: np.random.Generator) -> None:
        rows.flipped = share

    source, target = model.source, model.target
    suspects = frozenset((Suspect(kind="labels", source=source.identity, column=target),))
    hits = lambda other: other.source is source and other.target == target  # noqa: E731
    return Fault("label feed", suspects, hits, does, frozenset(("label", "loss"))), source.name


def _of_model(
    name: str, kind: str, does: Callable[[Model, Rows, np.random.Generator], None], subjects: frozenset[str]
) -> _Maker:
    def make(model: Model, models: list[Model], generator: np.random.Generator) -> tuple[Fault, str]:
        suspect = Suspect(kind=kind, model=model.name)  # type: ignore[arg-type]
        return Fault(
            name, frozenset((suspect,)), lambda other: other is model, does, subjects
        ), model.source.name

    return make


def _wrong_version(_: Model, rows: Rows, generator: np.random.Generator) -> None:
    rows.offset = 1.2


def _slow_version(_: Model, rows: Rows, generator: np.random.Generator) -> None:
    rows.slower, rows.failing = 2.5, 0.08


def _turned(_: Model, rows: Rows, generator: np.random.Generator) -> None:
    rows.turned = True


def _wrong_caller(model: Model, models: list[Model], generator: np.random.Generator) -> tuple[Fault, str]:
    """One caller of one model sends one column empty, and others read it from the same source."""
    while not (column := _shared(model, models, generator, "number")):
        model = models[generator.integers(len(models))]

    def does(_: Model, rows: Rows, day: np.random.Generator) -> None:
        values = rows.columns[column]
        rows.columns[column] = np.where(day.random(len(values)) < 0.6, np.nan, values)

    suspects = frozenset((Suspect(kind="model", model=model.name),))
    fault = Fault("wrong caller", suspects, lambda other: other is model, does, OUTCOMES | {column})
    return fault, model.source.name


def _slow_gateway(model: Model, models: list[Model], generator: np.random.Generator) -> tuple[Fault, str]:
    slower = generator.uniform(1.5, 3)

    def does(_: Model, rows: Rows, day: np.random.Generator) -> None:
        rows.slower = slower

    suspects = frozenset((Suspect(kind="gateway"),))
    return Fault("slow gateway", suspects, lambda _: True, does, frozenset(("latency",))), "gateway"


def _stuck(values: Array, _: np.random.Generator) -> Array:
    return np.full(len(values), values[0])


def _fahrenheit(values: Array, _: np.random.Generator) -> Array:
    return values * 1.8 + 32


_MAKERS: list[_Maker] = [
    _unit,
    _late,
    _category("new category", _renamed),
    _nulls,
    _of_model("bad deploy", "deployment", _wrong_version, OUTCOMES),
    _labels,
    _number("stuck sensor", _stuck),
    _unit,
    _of_model("slow deploy", "deployment", _slow_version, frozenset(("latency", "errors"))),
    _broken_join,
    _category("joined categories", _joined),
    _of_model("concept drift", "model", _turned, frozenset(("loss", "label"))),
    _number("degrees Fahrenheit", _fahrenheit),
    _wrong_caller,
    _slow_gateway,
]


def begun(fault: Fault, models: list[Model]) -> tuple[Fault, list[Model]]:
    """Return a fault in the fleet: a wrong version is deployed when it begins."""
    (suspect, *_) = fault.suspects
    if suspect.kind != "deployment":
        return fault, models
    changed: list[Any] = []
    for model in models:
        if model.name == suspect.model:
            releases = tuple(sorted({*model.releases, fault.begin}))
            model = replace(model, releases=releases)
            suspect = suspect.model_copy(update={"version": model.version(fault.begin)[0]})
        changed.append(model)
    name = suspect.model
    fault = replace(fault, suspects=frozenset((suspect,)), hits=lambda other: other.name == name)
    return fault, changed
