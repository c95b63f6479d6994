"""Business figures of a window, as the spec asks for them."""

from collections.abc import Sequence

from mlops_assets.monitoring.assessment.history import History
from mlops_assets.monitoring.assessment.record import Told
from mlops_assets.monitoring.assessment.subject import Span
from mlops_assets.monitoring.performance.kpis import KpiResult, measure_kpi
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.monitoring_spec import BusinessFigure

# Under this name a figure of a whole window is kept: the windows after it tell its interval.
WINDOW = "window"


def kpis_of(spec: ModelSpec, log: PredictionLog, span: Span, history: History) -> list[Told]:
    """Return the business figures of a window, those that miss their target first.

    Args:
        spec: The model's spec.
        log: The prediction log.
        span: The window.
        history: The windows before it.
    """
    figures: Sequence[BusinessFigure] = spec.monitoring.kpis
    if not figures:
        return []
    kinds = [f"kpi:{each.name}" for each in figures]
    rows = log.window(spec.name, span.start, span.end, known_by=span.as_of, kinds=kinds)
    found = []
    for figure, kind in zip(figures, kinds, strict=True):
        feedback = rows.set_index("prediction_id")[kind].dropna().astype("float64")
        result = measure_kpi(
            figure,
            rows.drop(columns=kinds),
            start=span.start,
            end=span.end,
            feedback=feedback,
            earlier=history.kpi(figure.name),
        )
        found.append(_told(figure, result))
    return sorted(found, key=lambda each: not each.alarm)


def _told(figure: BusinessFigure, result: KpiResult) -> Told:
    figures: dict[str, float | str | None] = {
        "value": result.value,
        "low": result.low,
        "high": result.high,
        "target": figure.target,
    }
    if result.value is not None and not result.rows:
        figures[WINDOW] = result.value
    return Told(
        name=figure.name,
        alarm=result.verdict == "missed",
        says=f"{figure.name}: {result.told}",
        figures=figures,
    )
