"""What the UI shows of a window: numbers that it plots over windows, and tables."""

from typing import Any

from mlops_assets.monitoring.assessment.record import Assessment, ColumnDrift
from mlops_assets.resources import Platform
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages import plots
from mlops_assets.stages.stage import markdown_table, rounded

_MOST_COLUMNS = 25


def metadata_of(
    spec: ModelSpec, found: Assessment, filed_as: int, platform: Platform, *, pictures: bool = True
) -> dict[str, Any]:
    """Return the metadata of a window's report.

    Args:
        spec: The model's spec.
        found: What was found.
        filed_as: Its number in the fleet's state.
        platform: The platform.
        pictures: Whether to draw, which takes longer than everything else.
    """
    shown: dict[str, Any] = {
        **{name: rounded(v) if isinstance(v, float) else v for name, v in figures_of(found).items()},
        "champion": int(found.version),
        "assessment": filed_as,
        "window": f"{found.start} to {found.end}",
        "verdict": found.reason,
    }
    tables: dict[str, list[dict[str, Any]]] = {
        "alarms": [
            {"kind": each.kind, "about": each.subject, "harm": each.harm, "says": each.says}
            for each in found.alarms
        ],
        "quality": list(found.quality),
        "performance": [
            {"metric": name, "value": value, "low": low, "high": high}
            for name, (value, low, high) in found.metrics.items()
        ],
        "estimated": [
            {"metric": name, "value": each.value, "low": each.low, "high": each.high, "trust": each.trust}
            for name, each in found.estimated.items()
        ],
        "drift": [_row(each) for each in found.drift[:_MOST_COLUMNS]],
        "fairness": [{"gap": each.name, "says": each.says} for each in found.fairness],
        "service": [{"figure": each.name, "says": each.says} for each in found.service],
        "kpis": [{"figure": each.name, "says": each.says} for each in found.kpis],
    }
    shown |= {name: markdown_table(rows) for name, rows in tables.items() if rows}
    if found.untold:
        shown["untold"] = markdown_table([{"part": k, "why": v} for k, v in found.untold.items()])
    if pictures and found.drift:
        shown["drift_plot"] = plots.drift(found.drift[:_MOST_COLUMNS])
    metric = spec.evaluation.primary_metric
    if pictures:
        history = platform.state.assessments(spec.name)
        if any(metric in each.metrics for each in history):
            shown["history"] = plots.history(history, metric)
    return shown


def figures_of(found: Assessment) -> dict[str, float | int]:
    """Return the numbers the UI plots over time."""
    said = found.prediction_drift
    service = {name: value for each in found.service for name, value in each.figures.items()}
    requests, seconds = service.get("requests"), service.get("processor_seconds")
    return {
        "served": found.served,
        "labelled": found.labelled,
        "alarms": len(found.alarms),
        "drifted_features": len(found.drifted),
        "quality_findings": len(found.quality),
        "errors": found.errors,
        **({} if found.refused is None else {"refused": found.refused}),
        "harm": int(found.harm),
        **({"prediction_drift": said.effect} if said and said.effect is not None else {}),
        **{name: value for name, (value, _, _) in found.metrics.items()},
        **{f"estimated_{name}": each.value for name, each in found.estimated.items()},
        **{f"latency_ms_{name}": value for name, value in found.latency_ms.items()},
        **({} if found.cost is None else {"cost_per_1000": found.cost}),
        **({"requests": int(requests)} if isinstance(requests, float | int) else {}),
        **({"processor_seconds": float(seconds)} if isinstance(seconds, float | int) else {}),
        **{f"kpi_{e.name}": float(v) for e in found.kpis if isinstance(v := e.figures.get("value"), float)},
    }


def _row(each: ColumnDrift) -> dict[str, Any]:
    return {
        "column": each.column,
        "alarm": "ALARM" if each.drifted else "",
        "moved": each.told,
        "p": each.score,
        "importance": "" if each.importance is None else each.importance,
        "psi": each.distances.get("psi", ""),
        "since": "" if each.since is None or not each.drifted else f"{each.since:%Y-%m-%d %H:%M}",
        "alone it does": each.expected,
    }
