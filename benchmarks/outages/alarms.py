"""The alarms of one model, window after window: real statistics on rows that are made up."""

from collections.abc import Iterator
from datetime import datetime

import numpy as np

from mlops_assets.monitoring.alarms.baseline import Baseline, Figures
from mlops_assets.monitoring.alarms.decision import Movement, alpha_of, movements
from mlops_assets.monitoring.incidents.alarm import Alarm, Kind, Upstream
from mlops_assets.monitoring.incidents.change import Change
from mlops_assets.monitoring.profiles.categories import Categories
from mlops_assets.monitoring.profiles.column import (
    CategoricalProfile,
    ColumnProfile,
    NumericProfile,
    of_numbers,
)
from mlops_assets.monitoring.profiles.column import Rows as Counted
from mlops_assets.monitoring.profiles.profile import Profile
from outages.faults import NEVER_SEEN, Fault, Rows
from outages.fleet import DAY, HISTORY, MODELS, START, TEAMS, WATCHED, Array, Model, autoregression

LEAST_EFFECT = 0.1
_FEWEST_ROWS = 0.2
_SPAN = 28
_QUANTILES = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
_KINDS: dict[str, tuple[Kind, str]] = {
    "prediction": ("prediction_drift", "prediction"),
    "loss": ("performance", "loss"),
    "label": ("label_shift", "label"),
    "latency": ("latency", "latency"),
    "errors": ("errors", "errors"),
}


def alarms_of(
    model: Model, faults: list[Fault], generator: np.random.Generator
) -> Iterator[tuple[int, list[Alarm]]]:
    """Yield the alarms after each watched day."""
    maker = _Days(model, faults, generator)
    history = [(START + day * DAY, maker.profile(day)) for day in range(HISTORY)]
    baseline = Baseline.of("day", history)
    usual = Profile(history[0][1].columns)
    for _, profile in history[1:7]:
        usual = usual.merge(profile)
    alpha = alpha_of(1, "day", MODELS // TEAMS)
    recent: list[Figures] = list(baseline.history[-_SPAN:])
    for day in range(WATCHED):
        start = START + (HISTORY + day) * DAY
        profile = maker.profile(HISTORY + day)
        if profile.columns["errors"].rows.all < _FEWEST_ROWS * model.rows:
            yield day, [_missing(model, day, start)]
            continue
        recent = [*recent[-_SPAN:], baseline.figures(start, profile)]
        moved = movements(baseline, "day", recent, alpha, least_effect=LEAST_EFFECT)
        yield day, [_alarm(model, day, start, each, usual, profile) for each in moved if each.alarm]


class _Days:
    def __init__(self, model: Model, faults: list[Fault], generator: np.random.Generator) -> None:
        self._model, self._generator = model, generator
        self._faults = [fault for fault in faults if fault.hits(model)]
        self._own = {
            name: autoregression(generator, HISTORY + WATCHED, 0.03, 0.5)
            for name in (*model.columns, "label", "latency")
        }
        self._known: dict[str, list[str]] = {}

    def profile(self, day: int) -> Profile:
        """Return what a day looks like to the model's monitoring."""
        generator, model = self._generator, self._model
        faults = [fault for fault in self._faults if fault.at(day - HISTORY)]
        count = max(int(generator.normal(model.rows, model.rows * 0.08)), 50)
        true = {name: self._column(name, day, count) for name in model.columns}
        rows = Rows(dict(true))
        for fault in faults:
            fault.does(model, rows, generator)
        if rows.late:
            count = int(count * 0.05)
            true = {name: values[:count] for name, values in true.items()}
            rows.columns = {name: values[:count] for name, values in rows.columns.items()}
        answered = self._score(rows.columns) + rows.offset
        odds = -self._score(true) if rows.turned else self._score(true)
        labels = (generator.random(count) < _probability(odds + self._own["label"][day])).astype(float)
        labels[generator.random(count) < rows.flipped] = 1.0
        predicted = _probability(answered)
        seconds = generator.lognormal(self._own["latency"][day], 0.4, count) * rows.slower
        failed = (generator.random(count) < 0.004 + rows.failing).astype(float)
        columns: dict[str, ColumnProfile] = {
            "prediction": of_numbers(predicted),
            "loss": of_numbers((labels - predicted) ** 2),
            "label": of_numbers(labels),
            "latency": of_numbers(seconds),
            "errors": of_numbers(failed),
        }
        return Profile(columns | {name: _profile(name, values) for name, values in rows.columns.items()})

    def _column(self, name: str, day: int, count: int) -> Array:
        column = self._model.source.columns[name]
        off = column.days[day] + self._own[name][day]
        if column.shares is None:
            drawn = self._generator.normal(off, 1.0, count)
            if column.skewed:
                return column.centre * np.exp(0.6 * drawn)
            return column.centre + column.spread * drawn
        shares = column.shares * np.exp(off * np.linspace(-0.5, 0.5, len(column.shares)))
        found: Array = self._generator.choice(len(shares), count, p=shares / shares.sum()).astype(float)
        return found

    def _score(self, columns: dict[str, Array]) -> Array:
        """Return log odds: each column pulls as far as it is unusual, but not without end."""
        score: Array = np.zeros(len(next(iter(columns.values()))))
        for name, weight in zip(self._model.columns, self._model.weights, strict=True):
            column, values = self._model.source.columns[name], columns[name]
            if column.shares is None:
                score += 3 * weight * np.tanh(np.nan_to_num((values - column.centre) / column.spread))
            else:
                score += 3 * weight * _PULL[np.nan_to_num(values, nan=NEVER_SEEN).astype(int)]
        return score - 0.5


# What each category says; one that was never seen, or is missing, says nothing.
_PULL = np.zeros(2 * NEVER_SEEN)
_PULL[:10] = (-1.0) ** np.arange(10) * (0.4 + 0.1 * np.arange(10))


def _probability(odds: Array) -> Array:
    found: Array = 1 / (1 + np.exp(-odds))
    return found


def _profile(name: str, values: Array) -> ColumnProfile:
    if name.startswith("number"):
        return of_numbers(values)
    known = values[~np.isnan(values)].astype(int)
    counts = {f"value {place}": int(n) for place, n in enumerate(np.bincount(known)) if n}
    return CategoricalProfile(Counted(len(values), len(values) - len(known)), Categories(counts))


def _missing(model: Model, day: int, start: datetime) -> Alarm:
    upstream = (Upstream(source=model.source.identity),)
    return _made(model, day, start, "missing_data", "", upstream=upstream, says="rows are missing")


def _alarm(
    model: Model, day: int, start: datetime, moved: Movement, usual: Profile, profile: Profile
) -> Alarm:
    name = moved.column
    kind, subject = _KINDS.get(name, ("data_drift", name))
    before, now = usual.columns[name], profile.columns[name]
    upstream: tuple[Upstream, ...] = ()
    importance = None
    if kind == "data_drift":
        upstream = (Upstream(source=model.source.identity, column=name),)
        importance = float(model.weights[model.columns.index(name)])
    elif kind == "label_shift":
        upstream = (Upstream(source=model.source.identity, column=model.target),)
    return _made(
        model,
        day,
        start,
        kind,
        subject,
        upstream=upstream,
        importance=importance,
        harm="measured" if kind == "performance" and moved.effect > 0 else "not_shown",
        change=_change(moved, before, now),
        says=f"{name}: {moved.figure} moved by {moved.effect:.2f}",
        p_value=moved.p_value,
    )


def _made(model: Model, day: int, start: datetime, kind: Kind, subject: str, **more: object) -> Alarm:
    version, deployed = model.version(day)
    return Alarm.model_validate(
        {
            "model": model.name,
            "owner": model.owner,
            "risk": "limited",
            "version": version,
            "deployed_at": deployed,
            "kind": kind,
            "subject": subject,
            "start": start,
            "end": start + DAY,
            "observed_at": start + DAY,
            **more,
        }
    )


def _change(moved: Movement, before: ColumnProfile, now: ColumnProfile) -> Change:
    if moved.figure == "missing":
        return Change.of_figure("missing", before.rows.missing_share, now.rows.missing_share)
    if isinstance(before, NumericProfile) and isinstance(now, NumericProfile) and now.rows.known > 1:
        if now.low == now.high:
            return Change(move="stuck", now=now.low)
        old, new = before.cells.quantiles(_QUANTILES), now.cells.quantiles(_QUANTILES)
        if (old != 0).all():
            factors = new / old
            factor = float(np.median(factors))
            if abs(np.log(abs(factor) + 1e-300)) > 0.25 and np.ptp(factors) < 0.12 * abs(factor):
                return Change(move="scaled", factor=factor)
    return Change.of_figure(moved.figure)
