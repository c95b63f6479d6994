"""Where more is to be seen of a model: in Dagster, in MLflow, and in Evidently's reports."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mlops_assets.home import Home

_DAGSTER, _MLFLOW = "MLOPS_DAGSTER_UI", "MLOPS_MLFLOW_UI"


def model_page(model: str) -> str:
    """Return the address of a model's page."""
    return f"/fleet/{quote(model, safe='')}"


@dataclass(frozen=True)
class Links:
    """The addresses of the other UIs.

    Attributes:
        dagster: Of Dagster's; empty if not known.
        mlflow: Of MLflow's; empty if not known.
        home: Where Evidently's reports lie; None if the gateway has none.
    """

    dagster: str = ""
    mlflow: str = ""
    home: Home | None = None

    @classmethod
    def of(cls, home: Home) -> "Links":
        """Return what ``MLOPS_DAGSTER_UI`` and ``MLOPS_MLFLOW_UI`` say; MLflow may be the registry."""
        return cls(_web(os.environ.get(_DAGSTER)), _web(os.environ.get(_MLFLOW) or home.tracking_uri), home)

    def of_model(self, model: str) -> Iterator[tuple[str, str]]:
        """Yield what there is to see of a model elsewhere: a name and an address."""
        name = quote(model, safe="")
        if self.dagster:
            yield "Dagster: the road to the endpoint", f"{self.dagster}/assets/{name}/deployed_endpoint"
            yield "Dagster: monitoring", f"{self.dagster}/assets/{name}/monitoring_report"
        if self.mlflow:
            yield "MLflow: versions", f"{self.mlflow}/#/models/{name}"

    def version(self, model: str, version: str) -> str:
        """Return the address of a version in MLflow; empty if not known."""
        if not self.mlflow:
            return ""
        return f"{self.mlflow}/#/models/{quote(model, safe='')}/versions/{quote(version, safe='')}"

    def report(self, model: str, report: str | None) -> str:
        """Return the address of a window's report, if it lies in this gateway's home; else nothing."""
        if report is None or self.report_file(model, name := Path(report).name) is None:
            return ""
        return f"{model_page(model)}/reports/{quote(name, safe='')}"

    def report_file(self, model: str, name: str) -> Path | None:
        """Return the file of a model's report of this name, or None if there is none."""
        if self.home is None or not name.endswith(".html") or {"/", "\\", "\0"} & {*name, *model}:
            return None
        file = self.home.report(model, name.removesuffix(".html"))
        inside = file.resolve().is_relative_to((self.home.root / "reports").resolve())
        return file if inside and file.is_file() else None


def _web(address: str | None) -> str:
    return address.rstrip("/") if address and address.startswith(("http://", "https://")) else ""
