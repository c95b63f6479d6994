"""How much a model depends on each raw input: what its skill loses if that input's values are exchanged.

An input's values are dealt out anew among the hold-out's rows, so that they are as frequent as before and
tell nothing of the row. How much worse the metric becomes is what the model takes from that input. Inputs
that say the same stand in for each other, and each by itself then seems to matter less.

Source: Breiman, "Random Forests", Machine Learning 45 (2001), section 10; Fisher, Rudin and Dominici, "All
Models are Wrong, but Many are Useful", Journal of Machine Learning Research 20 (2019).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.metrics import higher_is_better, measure
from mlops_assets.monitoring.byte_form import ByteForm

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]
    Predict = Callable[[pd.DataFrame], Array]

_FORM = ByteForm("importances", 1, "train the model again")
_MOST_ROWS = 2_000
_ROUNDS = 2
_AT_ONCE = 40_000


@dataclass(frozen=True)
class Importance:
    """What a model takes from each input.

    Attributes:
        metric: The metric that this is told in.
        loss: By how much worse the metric is without an input's information; may be below 0 by chance.
        share: Share of the sum of all losses, those below 0 counted as 0; they sum to 1, or to 0 if the model
            takes nothing from any.
    """

    metric: str
    loss: dict[str, float]
    share: dict[str, float]

    def to_bytes(self) -> bytes:
        """Return the one byte form."""
        return _FORM.write(self.metric, sorted(self.loss.items()))

    @classmethod
    def from_bytes(cls, content: bytes) -> "Importance":
        """Return what :meth:`to_bytes` wrote.

        Raises:
            ValueError: These are no such bytes.
        """
        with _FORM.reading(content) as (metric, loss):
            return cls.of(metric, dict(loss))

    @classmethod
    def of(cls, metric: str, loss: dict[str, float]) -> "Importance":
        """Return the importances with these losses."""
        total = sum(max(each, 0.0) for each in loss.values())
        return cls(
            metric, loss, {n: max(each, 0.0) / total if total > 0 else 0.0 for n, each in loss.items()}
        )


def permutation_importance(
    predict: "Predict",
    rows: "pd.DataFrame",
    target: "Array",
    metric: str,
    columns: Sequence[str],
    *,
    seed: int = 0,
) -> Importance:
    """Return how much a model depends on each column of some rows, by at most 2,000 of them.

    Args:
        predict: The model, from raw inputs.
        rows: Rows that it was not trained on.
        target: Their encoded targets, shape (n,).
        metric: The metric that counts.
        columns: The inputs to look at.
        seed: Of the exchange; the same for all columns, so that equal columns have equal importance.
    """
    import numpy as np
    import pandas as pd

    generator = np.random.default_rng(seed)
    some = np.sort(generator.permutation(len(rows))[:_MOST_ROWS])
    rows, target = rows.iloc[some].reset_index(drop=True), target[some]
    orders = [generator.permutation(len(rows)) for _ in range(_ROUNDS)]
    sign = 1.0 if higher_is_better(metric) else -1.0
    whole = sign * measure(metric, target, predict(rows))
    exchanged = (
        (name, rows.assign(**{name: rows[name].take(order).set_axis(rows.index)}))
        for name in columns
        for order in orders
    )
    losses: dict[str, list[float]] = {name: [] for name in columns}
    for together in _batches(exchanged, max(_AT_ONCE // max(len(rows), 1), 1)):
        predicted = predict(pd.concat([part for _, part in together], ignore_index=True))
        for place, (name, _) in enumerate(together):
            own = predicted[place * len(rows) : (place + 1) * len(rows)]
            losses[name].append(whole - sign * measure(metric, target, own))
    return Importance.of(metric, {name: float(np.nan_to_num(np.mean(each))) for name, each in losses.items()})


def _batches(parts: Any, size: int) -> Any:
    import itertools

    while together := list(itertools.islice(parts, size)):
        yield together
