"""Whether a prediction means what it says: of all rows told 30 %, 30 % come true.

Rows are put into ten bins of equal size by their prediction. The expected calibration error is the mean,
over rows, of how far the mean prediction of a bin is from its mean target. It is never zero: a calibrated
model has some by chance, and much where days are bad or good as a whole. So for its lower bound each day's
rows are held against the direction in which their bin is off on all *other* days. Of a calibrated model the
two have nothing to do with each other, and chance takes away as much as it adds; and each day is one
observation of the error, from which the bound follows.

Source: Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017 (the error, and
that of the likeliest class); Kull et al., "Beyond Temperature Scaling", NeurIPS 2019 (class by class);
Roelofs, Cain, Shlens and Mozer, "Mitigating Bias in Calibration Error Estimation", AISTATS 2022 (bins of
equal mass, and the bias of the plain figure); Chernozhukov et al., "Double/Debiased Machine Learning for
Treatment and Structural Parameters", Econometrics Journal 21 (2018), section 3 (that what is taken from other
folds does not bias); Gneiting and Resin, "Regression Diagnostics Meets Forecast Evaluation", Electronic
Journal of Statistics 17 (2023) (calibration of a predicted mean).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.block_jackknife import (
    block_sums,
    critical,
    effective_blocks,
    jackknife,
    numbered,
)
from mlops_assets.evaluation.holdout import Holdout
from mlops_assets.specs.gate_rules import CalibrationRules
from mlops_assets.verdict import Figure, Finding, Measurement, unmeasured

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

BINS = 10
_ROWS_A_BIN = 20
_MOST_CLASSES = 10
# The two halves lend each other their directions, so what chance adds to one it adds to the other: at most
# the product of two mean absolute normal deviates, 2/pi, beside a variance of 1.
_HALVES_AGREE = math.sqrt(1 + 2 / math.pi)


@dataclass(frozen=True)
class CalibrationError:
    """An expected calibration error.

    Attributes:
        value: The error as it is in these rows, with what chance adds.
        low: Lower bound of the error that chance does not explain; never below zero.
    """

    value: float
    low: float


def measure_calibration(holdout: Holdout, rules: CalibrationRules) -> Measurement:
    """Measure the expected calibration error; gate ``calibration``.

    Of more than two classes, the error of the likeliest class and that of each class count. Of values it is
    that of the mean, in units of two standard deviations of the target, which is the range of a balanced 0/1
    target: so one limit serves all tasks.

    Args:
        holdout: The candidate and its hold-out.
        rules: What the policy demands; ``confidence`` is that of all lower bounds together.

    Returns:
        One figure for each error; the findings are the bins of the first.
    """
    import numpy as np

    if not np.isfinite(holdout.predicted).all():
        return unmeasured("calibration", rules, "some predictions of the hold-out are not numbers")
    scores = _scores(holdout)
    confidence = 1 - (1 - rules.confidence) / len(scores)
    figures = []
    for score in scores:
        error = calibration_error(score.predicted, score.actual, holdout.blocks, confidence=confidence)
        figures.append(
            Figure(
                name=score.name,
                value=error.value / score.unit,
                low=error.low / score.unit,
                limit="max_error",
                counts="low",
                note=f"mean prediction {score.predicted.mean():.4g}, mean target {score.actual.mean():.4g}",
            )
        )
    worst = max(figures, key=lambda figure: (figure.low or 0.0, figure.value or 0.0))
    return Measurement(
        gate="calibration",
        summary=f"{worst.name} {worst.value:.3f}, at least {worst.low:.3f} beyond chance; {worst.note}",
        figures=tuple(figures),
        findings=tuple(reliability(scores[0].predicted, scores[0].actual)),
    )


def calibration_error(
    predicted: "Array", actual: "Array", blocks: "Array", *, confidence: float
) -> CalibrationError:
    """Return the expected calibration error that chance does not explain.

    Args:
        predicted: Probabilities or values, shape (n,).
        actual: What came true, shape (n,).
        blocks: Block of each row, such as its day.
        confidence: One-sided, of the lower bound.
    """
    import numpy as np

    member = numbered(blocks)
    bins = _equal_mass(predicted)
    misses = block_sums((predicted - actual)[:, None], bins, int(bins.max()) + 1, member)[..., 0]
    rows = np.bincount(member)
    early = np.arange(len(rows)) < len(rows) / 2
    direction = np.where(
        early[:, None], np.sign(misses[~early].sum(axis=0)), np.sign(misses[early].sum(axis=0))
    )
    told = np.stack([(direction * misses).sum(axis=1), rows], axis=-1)[:, None]
    beyond = jackknife(lambda sums: sums[..., 0] / sums[..., 1], told)
    margin = critical(1 - confidence, 1, effective_blocks(rows)) * beyond.error * _HALVES_AGREE
    low = max(float(beyond.value[0] - margin[0]), 0.0)
    return CalibrationError(float(np.abs(misses.sum(axis=0)).sum() / rows.sum()), low)


def reliability(predicted: "Array", actual: "Array") -> list[Finding]:
    """Return the points of a reliability diagram: for each bin its rows, mean prediction and mean target."""
    bins = _equal_mass(predicted)
    return [
        {
            "bin": int(k) + 1,
            "rows": int((bins == k).sum()),
            "predicted": float(predicted[bins == k].mean()),
            "observed": float(actual[bins == k].mean()),
        }
        for k in sorted(set(bins.tolist()))
    ]


@dataclass(frozen=True)
class _Score:
    name: str
    predicted: "Array"
    actual: "Array"
    unit: float = 1.0


def _scores(holdout: Holdout) -> list[_Score]:
    """Return what is to be calibrated; what a reader looks at first comes first."""
    import numpy as np

    target, predicted = holdout.target, holdout.predicted
    if holdout.spec.task == "regression":
        return [_Score("calibration_error", predicted, target, unit=2 * float(target.std()) or 1.0)]
    if predicted.ndim == 1:
        return [_Score("calibration_error", predicted, target)]
    hit = (predicted.argmax(axis=1) == target).astype(float)
    scores = [_Score("calibration_error of the likeliest class", predicted.max(axis=1), hit)]
    counts = np.bincount(target.astype(int), minlength=predicted.shape[1])
    for k in counts.argsort()[::-1][:_MOST_CLASSES]:
        label = holdout.package.manifest.classes[k]
        scores.append(_Score(f"calibration_error of {label}", predicted[:, k], (target == k).astype(float)))
    return scores


def _equal_mass(predicted: "Array") -> "Array":
    """Return the bin of each row; bins are equally filled, and equal predictions share one."""
    import numpy as np
    from scipy.stats import rankdata

    count = int(np.clip(len(predicted) // _ROWS_A_BIN, 1, BINS))
    return np.asarray((rankdata(predicted) - 0.5) / len(predicted) * count).astype(int)
