"""What came of each answer, as a number from 0 to 1 where higher is worse: what the guards compare."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.rollout.decision import Guard
from mlops_assets.rollout.sequential_bounds import Differences
from mlops_assets.rollout.units import (
    differences_of_pairs,
    differences_of_split,
    paired_units,
    split_units,
)
from mlops_assets.rollout.yardsticks import ms_per_row
from mlops_assets.specs.rollout_rules import GuardRules, Guards
from mlops_assets.specs.tasks import Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

# So many groups of a column are looked at, those with most rows.
MOST_GROUPS = 10


@dataclass(frozen=True)
class Scale:
    """What outcomes are measured by, fixed before the first of them was seen.

    Attributes:
        task: What is predicted.
        classes: Class labels in the order of the probabilities.
        slow_ms: Latency in milliseconds that few of the champion's answers exceeded.
        edges: Where predictions are cut into ranges; for more than two classes each is a range.
        loss_scale: Error of a regression that counts as a loss of 1.
        groups: Columns whose groups are looked at apart.
        kpi: Value of the business figure that is worst, and the one that is best; None if there is none.
        cost_ms: Milliseconds a row that nearly all of the champion's answers stayed below; None if unknown.
    """

    task: Task
    classes: tuple[Any, ...] = ()
    slow_ms: float | None = None
    edges: tuple[float, ...] = ()
    loss_scale: float | None = None
    groups: tuple[str, ...] = ()
    kpi: tuple[float, float] | None = None
    cost_ms: float | None = None

    @property
    def ranges(self) -> tuple[str, ...]:
        """Names of the ranges of predictions."""
        if self.task == "multiclass_classification":
            return tuple(map(str, self.classes))
        if not self.edges:
            return ()
        inner = [f"{low:.4g} to {high:.4g}" for low, high in zip(self.edges, self.edges[1:], strict=False)]
        return (f"up to {self.edges[0]:.4g}", *inner, f"above {self.edges[-1]:.4g}")

    @property
    def guards(self) -> int:
        """How many guards there are at most: what each is given of alpha must not depend on the day."""
        costs = self.cost_ms is not None
        return 4 + costs + 2 * len(self.ranges) + MOST_GROUPS * len(self.groups)

    def tenths(self, outputs: "Sequence[Any]") -> "Array":
        """Return in which of the ranges each prediction falls."""
        import numpy as np

        if self.task == "multiclass_classification":
            return np.array([int(np.argmax(output)) for output in outputs], dtype="int64")
        return np.searchsorted(np.asarray(self.edges), np.asarray(outputs, dtype="float64"), side="left")

    def loss(self, output: Any, label: Any) -> float | None:
        """Return a prediction's loss: half the Brier score, or the error's share of the scale.

        None for a label that is no class, or no number.
        """
        if self.task == "regression":
            if isinstance(label, bool) or not isinstance(label, int | float) or self.loss_scale is None:
                return None
            return float(min(1.0, abs(float(output) - label) / self.loss_scale))
        if label not in self.classes:
            return None
        place = self.classes.index(label)
        if self.task == "binary_classification":
            return float((float(output) - place) ** 2)
        return float(sum((p - (i == place)) ** 2 for i, p in enumerate(output)) / 2)

    def kpi_loss(self, value: Any) -> float | None:
        """Return how far a value of the business figure is from the best, of the way to the worst."""
        if self.kpi is None or isinstance(value, bool) or not isinstance(value, int | float):
            return None
        worst, best = self.kpi
        return float(min(1.0, max(0.0, (best - value) / (best - worst))))


def guards(answers: "pd.DataFrame", scale: Scale, rules: Guards, *, paired: bool) -> list[Guard]:
    """Return what is compared at a look.

    Args:
        answers: One row for each row answered or failed on, of either arm: ``unit`` (the entity, or the
            request where nobody is named), ``request``, ``prediction_id``, ``percent`` (the challenger's
            share then), ``challenger`` (whether it answered), ``shadow`` (whether unseen), ``failed``,
            ``served_at``, ``latency_ms``, ``output``, ``label`` and ``labelled_at``, ``kpi`` and ``kpi_at``,
            and the columns of groups.
        scale: What outcomes are measured by.
        rules: What is demanded.
        paired: Whether the arms are compared on the same requests, as in shadow, or on those split between
            them. Latencies and costs are not compared in shadow, where nobody waits.
    """
    return list(_guards(answers, scale, rules, paired))


def _guards(answers: "pd.DataFrame", scale: Scale, rules: Guards, paired: bool) -> Iterator[Guard]:
    compare = _Comparison(paired)
    answers = _numbered(answers)
    failed = answers["failed"].to_numpy(dtype=bool)
    asked = answers.assign(outcome=failed.astype(float), prediction_id=answers["request"])
    asked = asked.drop_duplicates(["request", "challenger"])
    yield compare.guard("error_rate", "", rules.error_rate, asked)
    answered = answers[~failed]
    if scale.slow_ms is not None and not paired:
        slow = (answered["latency_ms"] > scale.slow_ms).astype(float)
        yield compare.guard("latency", "", rules.latency, answered.assign(outcome=slow))
    if scale.cost_ms is not None and not paired:
        took = ms_per_row(answered["latency_ms"], answered["request"])
        shares = (took / scale.cost_ms).clip(upper=1.0)
        yield compare.guard("cost", "", rules.cost, answered.assign(outcome=shares))
    if scale.ranges:
        units = compare.units(answered.assign(outcome=scale.tenths(answered["output"].tolist())))
        for index, name in enumerate(scale.ranges):
            inside = compare.differences(units, lambda places, index=index: places == index)
            outside = compare.differences(units, lambda places, index=index: places != index)
            yield Guard("predictions", f"more {name}", rules.predictions, inside)
            yield Guard("predictions", f"fewer {name}", rules.predictions, outside)
    losses = _outcomes(answered, "label", "labelled_at", [
        scale.loss(output, label)
        for output, label in zip(answered["output"], answered["label"], strict=True)
    ])  # fmt: skip
    yield compare.guard("performance", "", rules.performance, losses)
    for column in scale.groups:
        for name, rows in _groups(losses, column):
            yield compare.guard("group_performance", f"{column} {name}", rules.group_performance, rows)
    if scale.kpi is not None:
        values = _outcomes(answered, "kpi", "kpi_at", [scale.kpi_loss(value) for value in answered["kpi"]])
        yield compare.guard("kpi", "", rules.kpi, values)


def _outcomes(
    answers: "pd.DataFrame", value: str, known_at: str, outcomes: "list[float | None]"
) -> "pd.DataFrame":
    """Return the rows whose outcome is known by now, with it."""
    import pandas as pd

    found = answers.assign(outcome=pd.array(outcomes, dtype="Float64"), known_at=answers[known_at].to_numpy())
    known = found[found["outcome"].notna() & found[value].notna()]
    return known.assign(outcome=known["outcome"].astype("float64"))


def _groups(rows: "pd.DataFrame", column: str) -> "Iterator[tuple[str, pd.DataFrame]]":
    if column not in rows:
        return
    names = rows[column].map(str)
    for name in sorted(names.value_counts().index[:MOST_GROUPS]):
        yield name, rows[names == name]


def _numbered(answers: "pd.DataFrame") -> "pd.DataFrame":
    """Return answers whose units and requests are numbers, by which they are found much faster."""
    import pandas as pd

    return answers.assign(
        **{name: pd.factorize(answers[name])[0] for name in ("unit", "request", "prediction_id")}
    )


@dataclass(frozen=True)
class _Comparison:
    """How the arms are compared: on the same requests, or on those split between them."""

    paired: bool

    def guard(self, name: str, of: str, rules: GuardRules, rows: "pd.DataFrame") -> Guard:
        return Guard(name, of, rules, self.differences(self.units(rows)))

    def units(self, rows: "pd.DataFrame") -> "pd.DataFrame":
        """Return what counts of the answers of either arm, each with its outcome."""
        rows = rows if "known_at" in rows else rows.assign(known_at=rows["served_at"])
        columns = rows.assign(entity=rows["unit"])
        if not self.paired:
            return split_units(
                columns[(columns["percent"] > 0) & (columns["percent"] < 100) & ~columns["shadow"]]
            )
        one = columns[columns["challenger"]].set_index("prediction_id")
        other = columns[~columns["challenger"]].set_index("prediction_id")
        both = one.join(other[["outcome", "known_at"]], rsuffix="_champion", how="inner")
        return paired_units(
            both.assign(
                champion_outcome=both["outcome_champion"],
                known_at=both[["known_at", "known_at_champion"]].max(axis=1),
            )
        )

    @property
    def differences(self) -> "Callable[..., Differences]":
        """What tells by how much units differ between the arms."""
        return differences_of_pairs if self.paired else differences_of_split


def units_by_arm(answers: "pd.DataFrame", *, paired: bool) -> Mapping[str, int]:
    """Return how many units were seen of either arm; of both together where they answer the same."""
    if paired:
        twice = answers.groupby("prediction_id")["challenger"].nunique() == 2
        both = answers[answers["prediction_id"].isin(twice.index[twice])]
        return {"requests of both": int(both["unit"].nunique())}
    return {
        arm: int(answers[answers["challenger"] == is_challenger]["unit"].nunique())
        for arm, is_challenger in (("champion", False), ("challenger", True))
    }
