"""How large the loss of a row is, learnt from its inputs and its prediction: direct loss estimation (DLE).

Of a regression nothing in the output tells how sure it is. So gradient boosting learns from the hold-out
what absolute and squared error a row has. It is fitted five times, each time without a fifth of the blocks
(days): a row is judged by the model that has not seen its day; the five together are the estimate, and how
they differ tells how far it may be off. Where they do no better than the mean loss, the mean loss it is.

R² also needs how far targets will lie apart. A target is taken to be a line of its prediction, which a
calibrated model's is with slope one, and an error around it of the size that is estimated.

Source: NannyML, "Direct Loss Estimation", documentation of nannyml 0.13; Ke et al., "LightGBM", NeurIPS
2017; Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 11 (leaving out groups).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.estimation.estimate import Expectation
from mlops_assets.training.onnx_form import OnnxForm, convert

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_LOSSES = ("absolute", "squared")
_FOLDS = 5
_FEWEST_ROWS = 200
_PARAMS = {"max_iter": 60, "learning_rate": 0.1, "max_leaf_nodes": 15, "early_stopping": False}


@dataclass(frozen=True, eq=False)
class Loss:
    """The expected loss of a row.

    Attributes:
        means: Mean loss without each block of the hold-out; what is expected where there are no forms.
        forms: Models of it in ONNX, each fitted without a fifth of the blocks.
        spread: Variance of a row's loss, in parts of its expected loss squared.
    """

    means: "Array"
    forms: tuple[bytes, ...]
    spread: float

    @cached_property
    def _opened(self) -> list[OnnxForm]:
        return [OnnxForm(form, "regression") for form in self.forms]

    def expected(self, rows: "Array") -> "Array":
        """Return the expected loss of each row by each model, shape (models, n).

        Args:
            rows: Inputs and predictions, float32, shape (n, width).
        """
        import numpy as np

        if not self.forms:
            return np.repeat(self.means[:, None], len(rows), axis=1)
        return np.maximum([form.run(rows) for form in self._opened], 0.0)


@dataclass(frozen=True, eq=False)
class LossModel:
    """What the metrics of a regression are expected to be.

    Attributes:
        absolute: Of the absolute error.
        squared: Of the squared error.
        lines: Intercept and slope of targets by predictions, for each model of the squared error; shape
            (models, 2).
        width: Number of inputs.
    """

    absolute: Loss
    squared: Loss
    lines: "Array"
    width: int

    @property
    def note(self) -> str:
        """What was learnt, in words."""
        even = [name for name in _LOSSES if not getattr(self, name).forms]
        if not even:
            return "the errors of a row are estimated from its inputs and its prediction"
        return (
            f"the hold-out does not tell how large the {' and the '.join(even)} error of a row is: "
            "every row is taken to have the mean, whatever is served"
        )

    def expect(
        self, outputs: "Array", counts: "Array", inputs: "Array | None" = None
    ) -> dict[str, Expectation]:
        """Return what is expected of the metrics of a window; only the mean error where none is expected.

        Args:
            outputs: Predictions, shape (n,).
            counts: How many rows have each, shape (n,).
            inputs: The model's inputs, shape (n, width).
        """
        import numpy as np

        rows, share = _rows(outputs, inputs), counts / counts.sum()
        absolute, squared = self.absolute.expected(rows), self.squared.expected(rows)
        mae, mse = absolute @ share, squared @ share
        around, apart = _targets(outputs, squared, self.lines, share)
        per_row, loss, spread = share / counts.sum(), squared.mean(axis=0), self.squared.spread
        if not mse.min() > 0 or not apart.min() > 0:
            return {"mae": _expectation(mae, 0.0)}
        missed = float(mse.mean() / apart.mean())
        # What a row's error adds to how far targets lie apart makes it weigh less.
        noise = (1 - missed) ** 2 * spread * loss**2 + 4 * missed**2 * around.mean(axis=0) ** 2 * loss
        rmse = np.sqrt(mse)
        return {
            "mae": _expectation(mae, self.absolute.spread * per_row @ absolute.mean(axis=0) ** 2),
            "rmse": _expectation(rmse, spread * per_row @ loss**2 / (2 * rmse.mean()) ** 2),
            "r2": _expectation(1 - mse / apart, per_row @ noise / apart.mean() ** 2),
        }

    def parts(self) -> "tuple[dict[str, Any], dict[str, Array]]":
        """Return what it consists of: facts in JSON, and arrays."""
        import numpy as np

        facts: dict[str, Any] = {"width": self.width}
        arrays = {"lines": self.lines}
        for name in _LOSSES:
            loss: Loss = getattr(self, name)
            facts[name] = {"spread": loss.spread, "forms": len(loss.forms)}
            arrays[f"{name}.means"] = loss.means
            arrays |= {f"{name}.{k}": np.frombuffer(form, dtype="uint8") for k, form in enumerate(loss.forms)}
        return facts, arrays

    @classmethod
    def from_parts(cls, facts: "dict[str, Any]", arrays: "dict[str, Array]") -> "LossModel":
        """Return the model that consists of these parts."""
        losses = {
            name: Loss(
                arrays[f"{name}.means"],
                tuple(arrays[f"{name}.{k}"].tobytes() for k in range(facts[name]["forms"])),
                facts[name]["spread"],
            )
            for name in _LOSSES
        }
        return cls(**losses, lines=arrays["lines"], width=facts["width"])


def fit_loss_model(
    outputs: "Array", labels: "Array", inputs: "Array | None", member: "Array", seed: int
) -> "tuple[LossModel, dict[str, Array]]":
    """Return the model that a hold-out tells.

    Args:
        outputs: Predictions, shape (n,).
        labels: Targets, shape (n,).
        inputs: The model's inputs, shape (n, width); None where only the prediction is to be looked at.
        member: Block of each row, from 0.
        seed: Seed of the learning.

    Returns:
        The model; and by metric what each row of the hold-out added to it beyond what was expected of it,
        times the number of rows.
    """
    import numpy as np

    rows, error = _rows(outputs, inputs), labels - outputs
    absolute, expected = _fit_loss(rows, np.abs(error), member, seed)
    squared, loss = _fit_loss(rows, error**2, member, seed)
    fold = _folds(member) if squared.forms else member
    lines = _lines(outputs, labels, fold)
    model = LossModel(absolute, squared, lines, rows.shape[1] - 1)
    share = np.full(len(labels), 1 / len(labels))
    around, apart = _targets(outputs, loss[None], lines.mean(axis=0, keepdims=True), share)
    mse, far = float(loss.mean()), float(apart[0])
    if not mse > 0 or not far > 0:
        return model, {"mae": np.abs(error) - expected}
    off = np.maximum(loss - (outputs - labels.mean() - around[0]) ** 2, 0.0)
    further = (labels - labels.mean()) ** 2 - around[0] ** 2 - off
    return model, {
        "mae": np.abs(error) - expected,
        "rmse": (error**2 - loss) / (2 * np.sqrt(mse)),
        "r2": (mse / far * further - (error**2 - loss)) / far,
    }


def _fit_loss(rows: "Array", losses: "Array", member: "Array", seed: int) -> "tuple[Loss, Array]":
    """Return the expected loss, and that of each row of the hold-out as told without its block."""
    import numpy as np

    count, total = np.bincount(member), np.bincount(member, losses)
    means = (losses.sum() - total) / (len(losses) - count)
    even = means[member]
    forms, learnt = _learn(rows, losses, member, seed)
    if forms and ((losses - learnt) ** 2).sum() < ((losses - even) ** 2).sum():
        return Loss(means, forms, _spread(losses, learnt)), learnt
    return Loss(means, (), _spread(losses, even)), even


def _learn(rows: "Array", losses: "Array", member: "Array", seed: int) -> "tuple[tuple[bytes, ...], Array]":
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingRegressor

    unseen = np.zeros(len(losses))
    if len(losses) < _FEWEST_ROWS:
        return (), unseen
    fold, forms = _folds(member), []
    for left_out in range(_FOLDS):
        own = fold == left_out
        learner = HistGradientBoostingRegressor(**_PARAMS, random_state=seed)
        forms.append(convert(learner.fit(rows[~own], losses[~own]), rows.shape[1]))
        unseen[own] = np.maximum(OnnxForm(forms[-1], "regression").run(rows[own]), 0.0)
    return tuple(forms), unseen


def _folds(member: "Array") -> "Array":
    """Return the fifth that each row's block is in; neighbours are in the same."""
    return member * _FOLDS // (int(member.max()) + 1)


def _spread(losses: "Array", expected: "Array") -> float:
    squares = float(expected @ expected)
    missed = losses - expected
    return float(missed @ missed) / squares if squares > 0 else 0.0


def _lines(outputs: "Array", labels: "Array", fold: "Array") -> "Array":
    """Return the least-squares line of targets by predictions without each fold."""
    import numpy as np

    found = []
    for left_out in range(int(fold.max()) + 1):
        x, y = outputs[fold != left_out], labels[fold != left_out]
        spread = float(x.var())
        slope = float(((x - x.mean()) * (y - y.mean())).mean()) / spread if spread > 0 else 0.0
        found.append((y.mean() - slope * x.mean(), slope))
    return np.asarray(found)


def _targets(outputs: "Array", squared: "Array", lines: "Array", share: "Array") -> "tuple[Array, Array]":
    """Return how far each target is expected to be from their mean, and the variance of all targets."""
    import numpy as np

    expected = lines[:, :1] + lines[:, 1:] * outputs
    around = expected - expected @ share[:, None]
    # The squared error is what the line is off plus what the target is off the line.
    off_line = np.maximum(squared - (expected - outputs) ** 2, 0.0)
    return around, (around**2 + off_line) @ share


def _expectation(by_model: "Array", variance: "Array | float") -> Expectation:
    return Expectation(float(by_model.mean()), float(variance), by_model - by_model.mean())


def _rows(outputs: "Array", inputs: "Array | None") -> "Array":
    import numpy as np

    columns = outputs[:, None] if inputs is None else np.column_stack([inputs, outputs])
    return columns.astype("float32")
