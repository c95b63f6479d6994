"""One model, one window: what was served, what moved, and whether it did harm.

Drift is shown and never acted on by itself. Harm is: the primary metric on arrived labels, with the
whole of its confidence interval, lies beyond the hold-out's value by more than the tolerance.
"""

import math
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from mlops_assets.data.columns import convert, to_declared_types
from mlops_assets.evaluation.intervals import Interval, intervals, time_blocks
from mlops_assets.evaluation.metrics import encode_target, higher_is_better, measure, metrics_of
from mlops_assets.monitoring.drift import measure_drift
from mlops_assets.monitoring.quality import findings_of, measure_quality
from mlops_assets.prediction_log.records import BATCH, STREAM
from mlops_assets.specs.model_spec import ModelSpec, Retraining
from mlops_assets.verdict import Finding

_QUANTILES = {"p50": 0.5, "p99": 0.99}

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlops_assets.training.package import PackagedModel


class Assessment(BaseModel):
    """What a monitoring pass found about one model in one window.

    Attributes:
        model: Model name.
        version: Champion when the pass ran.
        as_of: When the pass ran; labels known later are not in it. Naive UTC.
        start: First event time of the window.
        end: End of the window, exclusive.
        labels_due: When all labels of the window are to be known; None in one of before that was told.
        served: Rows answered.
        labelled: Rows that this version answered and whose label is known.
        metrics: Each metric on labelled rows, where it is defined: value and interval.
        reference_metric: The primary metric on the champion's hold-out.
        drift: Per column: method, score, threshold, drifted.
        prediction_drift: The same for the prediction; None if too few rows.
        quality: Troubles with served inputs and with labels.
        latency_ms: Quantiles of the answer time, by name.
        errors: Requests with valid input that the model failed on during the window (by arrival).
        refused: Requests that were themselves wrong, likewise; None if not asked.
        unseen_rows: Rows in the source newer than all the champion was trained on; None if not asked.
        harm: Whether the model did harm.
        reason: Why it did, why not, or why that cannot be told yet.
        rules: The spec's retraining rules at the time.
        budget: How many retrainings the policy lets start by themselves in 30 days; None if any number.
        report: Path of the Evidently report, if one was made.
    """

    # Drift scores may be infinite; JSON's null would not read back as a number.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    model: str
    version: str
    as_of: datetime
    start: datetime
    end: datetime
    labels_due: datetime | None = None
    served: int
    labelled: int = 0
    metrics: dict[str, tuple[float, float, float]] = {}
    reference_metric: float | None = None
    drift: list[dict[str, Any]] = []
    prediction_drift: dict[str, Any] | None = None
    quality: list[Finding] = []
    latency_ms: dict[str, float] = {}
    errors: int = 0
    refused: int | None = None
    unseen_rows: int | None = None
    harm: bool = False
    reason: str = ""
    rules: Retraining = Retraining()
    budget: int | None = None
    report: str | None = None

    @property
    def judged(self) -> bool:
        """Whether all its labels were due, so that it says whether the model did harm."""
        return self.labels_due is None or self.as_of >= self.labels_due

    @property
    def drifted(self) -> list[str]:
        """Names of the columns that drifted."""
        return [d["column"] for d in self.drift if d["drifted"]]


def assess(
    spec: ModelSpec,
    package: "PackagedModel",
    version: str,
    rows: "pd.DataFrame",
    *,
    as_of: datetime,
    window: tuple[datetime, datetime],
    errors: int = 0,
    refused: int | None = None,
    unseen_rows: int | None = None,
    report: Path | None = None,
) -> Assessment:
    """Return what one window says about one model.

    Columns that the log does not keep as they were sent are not looked at.

    Args:
        spec: The model's spec.
        package: The champion.
        version: Its version.
        rows: The window of the prediction log, see
            :meth:`mlops_assets.prediction_log.log.PredictionLog.window`.
        as_of: When the pass runs.
        window: Start and end of the window.
        errors: Requests with valid input that the model failed on in it.
        refused: Requests in it that were themselves wrong.
        unseen_rows: Rows in the source that the champion has not seen.
        report: Where to write Evidently's HTML report; None for no report.
    """
    import pandas as pd

    common: dict[str, Any] = {
        "model": spec.name,
        "version": version,
        "as_of": as_of,
        "start": window[0],
        "end": window[1],
        "labels_due": window[1] + spec.data.label_delay,
        "errors": errors,
        "refused": refused,
        "unseen_rows": unseen_rows,
        "rules": spec.retraining,
    }
    if rows.empty:
        return Assessment(**common, served=0, reason="nothing was served in this window")
    inputs = [column for column in package.manifest.inputs if column.log == "keep"]
    reference = package.reference()
    sent = pd.DataFrame.from_records(rows["inputs"].tolist(), index=rows.index)
    current = to_declared_types(sent.reindex(columns=[c.name for c in inputs]), inputs)
    quality = measure_quality(current, inputs, reference)
    # An earlier version may have answered part of the window: not this one's predictions, nor its doing.
    own = rows["version"] == version
    current["prediction"] = rows["output"].map(_first).where(own)
    drift = measure_drift(
        _first_prediction(reference),
        current,
        [*(c.name for c in inputs if c.type in ("number", "integer", "boolean")), "prediction"],
        [c.name for c in inputs if c.type == "string"],
        report,
    )
    known, unusable = _known_labels(rows[own], package)
    metrics, reference_metric = _performance(spec, package, known, reference)
    harm, reason = judge_harm(spec, metrics.get(spec.evaluation.primary_metric), reference_metric, len(known))
    if as_of < common["labels_due"]:  # some are there, and those that come early may be of a kind
        harm, reason = False, f"its labels are due on {common['labels_due']:%Y-%m-%d %H:%M}"
    # Rows of a file that was scored were not waited for one by one, nor messages of a stream.
    waited_for = rows.loc[~rows["arm"].isin((BATCH, STREAM)), "latency_ms"]
    latency = {name: float(waited_for.quantile(q)) for name, q in _QUANTILES.items() if len(waited_for)}
    prediction = [asdict(d) for d in drift if d.column == "prediction"]
    return Assessment(
        **common,
        served=len(rows),
        labelled=len(known),
        metrics={n: (i.value, i.low, i.high) for n, i in metrics.items()},
        reference_metric=reference_metric,
        drift=[asdict(d) for d in drift if d.column != "prediction"],
        prediction_drift=prediction[0] if prediction else None,
        quality=[*quality, *unusable],
        latency_ms=latency,
        harm=harm,
        reason=reason,
        report=str(report) if report is not None and report.exists() else None,
    )


def judge_harm(
    spec: ModelSpec, current: Interval | None, reference: float | None, labelled: int
) -> tuple[bool, str]:
    """Return whether the model does harm, and why.

    Args:
        spec: The model's spec.
        current: The primary metric on labelled rows; None where it is not defined.
        reference: The primary metric on the champion's hold-out; None where it is not defined.
        labelled: Number of labelled rows.
    """
    name, fewest = spec.evaluation.primary_metric, spec.monitoring.min_labels
    if labelled < fewest:
        return False, f"{labelled} labels, fewer than the {fewest} a judgement needs"
    if current is None or reference is None:
        where = "the hold-out" if reference is None else f"the {labelled} labels"
        return False, f"{name} is not defined on {where}, where there is nothing to tell apart"
    tolerance = spec.monitoring.tolerance
    up = higher_is_better(name)
    best_case = current.high if up else current.low
    limit = reference - tolerance if up else reference + tolerance
    harm = best_case < limit if up else best_case > limit
    return harm, (
        f"{name} {current} against {reference:.4f} on the hold-out: "
        f"{'worse' if harm else 'not shown to be worse'} by more than {tolerance:g}"
    )


def _known_labels(rows: "pd.DataFrame", package: "PackagedModel") -> tuple["pd.DataFrame", list[Finding]]:
    """Return the rows whose label the metrics can use, and a finding on those they cannot."""
    task, classes = package.manifest.task, package.manifest.classes
    given = rows[rows["label"].notna()]
    if task == "regression":
        values, bad = convert(given["label"].astype("object"), "number")
        usable, given = ~bad, given.assign(label=values.astype("object").where(~bad, given["label"]))
    else:
        usable = given["label"].map(lambda label: label in classes).astype(bool)
    problem = "a label that is no number" if task == "regression" else "a label the model does not know"
    return given[usable], findings_of(package.manifest.target, problem, ~usable, given["label"])


def _performance(
    spec: ModelSpec, package: "PackagedModel", known: "pd.DataFrame", reference: "pd.DataFrame"
) -> tuple[dict[str, Interval], float | None]:
    import numpy as np

    task, classes = package.manifest.task, package.manifest.classes
    promised = measure(
        spec.evaluation.primary_metric,
        encode_target(reference[package.manifest.target], task, classes),
        _reference_output(reference, package),
    )
    found: dict[str, Interval] = {}
    if len(known) > 1:
        found = intervals(
            metrics_of(task),
            encode_target(known["label"], task, classes),
            np.asarray(known["output"].tolist(), dtype="float64"),
            time_blocks(known["event_time"]),
            confidence=spec.evaluation.confidence,
        )
    defined = {name: figure for name, figure in found.items() if not math.isnan(figure.value)}
    return defined, None if math.isnan(promised) else promised


def _reference_output(reference: "pd.DataFrame", package: "PackagedModel") -> "np.ndarray[Any, Any]":
    if package.manifest.task == "multiclass_classification":
        return reference[[f"probability_{c}" for c in package.manifest.classes]].to_numpy()
    return reference["prediction"].to_numpy(dtype="float64")


def _first_prediction(reference: "pd.DataFrame") -> "pd.DataFrame":
    """Return the reference with a numeric prediction: the first class's probability if many."""
    probabilities = [c for c in reference if str(c).startswith("probability_")]
    if not probabilities:
        return reference
    return reference.assign(prediction=reference[probabilities[0]])


def _first(output: Any) -> float:
    return float(output[0] if isinstance(output, list) else output)
