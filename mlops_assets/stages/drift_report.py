"""Evidently's HTML report of a window: made on an alarm or when asked for, and never for every window."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets import digests
from mlops_assets.data.columns import to_declared_types
from mlops_assets.home import Home
from mlops_assets.monitoring.assessment.record import Assessment
from mlops_assets.monitoring.drift import measure_drift
from mlops_assets.registry.training_run import log_monitoring
from mlops_assets.resources import Platform
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.monitoring_metadata import figures_of

# A report takes seconds. Of a fault that hits hundreds of models a few show what there is to see.
_MOST_REPORTS = 3
_MOST_ROWS = 20_000
_NUMERIC = ("number", "integer", "boolean")


@dataclass(frozen=True)
class DriftReport:
    """A report.

    Attributes:
        path: The HTML file.
        link: The same in MLflow's UI.
    """

    path: Path
    link: str

    @property
    def metadata(self) -> dict[str, Any]:
        """What the UI shows of it."""
        return {
            "report": dg.MetadataValue.path(str(self.path)),
            "report_in_mlflow": dg.MetadataValue.url(self.link),
        }


class ReportMaker:
    """Makes the reports of one pass.

    Args:
        platform: The platform.
        always: Whether every model gets one.
    """

    def __init__(self, platform: Platform, *, always: bool = False) -> None:
        self._platform, self._always = platform, always
        self._made = 0

    def report_of(self, spec: ModelSpec, assessment: Assessment) -> DriftReport | None:
        """Return a window's report, made if it is worth it; None if there is none."""
        worth_it = assessment.harm or any(alarm.change is not None for alarm in assessment.alarms)
        if not assessment.served or not (self._always or (worth_it and self._made < _MOST_REPORTS)):
            return None
        self._made += 1
        path = report_path(self._platform.home, assessment)
        self._write(spec, assessment, path)
        return self._filed(spec, assessment, path) if path.exists() else None

    def _filed(self, spec: ModelSpec, assessment: Assessment, path: Path) -> DriftReport:
        """Return a report that is kept in MLflow, too, where people without this machine's disk see it."""
        content = digests.of_bytes(assessment.model_dump_json(exclude={"report"}).encode())
        name = f"{spec.name} {assessment.start:%Y-%m-%d} to {assessment.end:%Y-%m-%d}"
        figures = {key: float(value) for key, value in figures_of(assessment).items()}
        platform = self._platform
        run = log_monitoring(platform.registry, spec.name, content, name=name, metrics=figures, report=path)
        link = f"{platform.run_link(run.experiment, run.run_id)}/artifacts/{path.name}"
        return DriftReport(path, link)

    def _write(self, spec: ModelSpec, assessment: Assessment, path: Path) -> None:
        import pandas as pd

        platform = self._platform
        champion = platform.champion(spec.name)
        if champion is None or champion.version != assessment.version:
            return
        package = platform.package(champion.run_id, champion.candidate)
        rows = platform.prediction_log.window(
            spec.name, assessment.start, assessment.end, known_by=assessment.as_of
        )
        rows = rows.iloc[:: max(-(-len(rows) // _MOST_ROWS), 1)]
        inputs = [column for column in package.manifest.inputs if column.log == "keep"]
        sent = pd.DataFrame.from_records(rows["inputs"].tolist(), index=rows.index)
        current = to_declared_types(sent.reindex(columns=[each.name for each in inputs]), inputs)
        own = rows["version"] == assessment.version
        current["prediction"] = rows["output"].map(_first).where(own)
        reference = package.reference()
        probabilities = [name for name in reference if str(name).startswith("probability_")]
        if probabilities:
            reference = reference.assign(prediction=reference[probabilities[0]])
        measure_drift(
            reference,
            current,
            [*(each.name for each in inputs if each.type in _NUMERIC), "prediction"],
            [each.name for each in inputs if each.type == "string"],
            path,
        )


def report_path(home: Home, assessment: Assessment) -> Path:
    """Return where the report of a window is kept."""
    span = f"{assessment.start:%Y-%m-%dT%H}_{assessment.end:%Y-%m-%dT%H}"
    return home.report(assessment.model, f"{span}_v{assessment.version}")


def _first(output: object) -> float:
    value = output[0] if isinstance(output, list) else output
    return float(value)  # type: ignore[arg-type]
