"""Data drift and prediction drift by Evidently's methods, and its HTML report."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.home import replacing, settle_libraries, storage_errors

if TYPE_CHECKING:
    import pandas as pd

FEWEST_ROWS = 30


@dataclass(frozen=True)
class ColumnDrift:
    """How far one column moved.

    Attributes:
        column: Column name.
        method: Evidently's name of the method it chose for the column and the sample sizes.
        score: The distance, or the p-value where ``method`` is a test.
        threshold: Evidently's threshold for the method.
        drifted: Whether the score is on the far side of the threshold.
    """

    column: str
    method: str
    score: float
    threshold: float
    drifted: bool


def measure_drift(
    reference: "pd.DataFrame",
    current: "pd.DataFrame",
    numeric: list[str],
    categorical: list[str],
    report: Path | None = None,
) -> list[ColumnDrift]:
    """Return the drift of each column, and write Evidently's HTML report if a path is given.

    Columns with fewer than 30 values on either side are left out: nothing can be said of them.

    Args:
        reference: Hold-out rows of the serving model.
        current: Served rows of a window.
        numeric: Columns to compare as numbers.
        categorical: Columns to compare as categories.
        report: Where to write the HTML report.
    """
    settle_libraries()
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    told = [c for c in (*numeric, *categorical) if _enough(reference, c) and _enough(current, c)]
    if not told:
        return []
    definition = DataDefinition(
        numerical_columns=[c for c in numeric if c in told],
        categorical_columns=[c for c in categorical if c in told],
    )
    # Evidently does not test pandas' extension types, silently; plain numpy types it does.
    plain = {c: "float64" for c in numeric if c in told} | {c: "object" for c in categorical if c in told}
    snapshot = Report([DataDriftPreset()]).run(
        Dataset.from_pandas(current[told].astype(plain), data_definition=definition),
        Dataset.from_pandas(reference[told].astype(plain), data_definition=definition),
    )
    if report is not None:
        with storage_errors(report), replacing(report) as temporary:
            snapshot.save_html(str(temporary))
    return [_column_drift(m) for m in snapshot.dict()["metrics"] if "column" in m["config"]]


def _column_drift(metric: dict[str, Any]) -> ColumnDrift:
    config, score = metric["config"], float(metric["value"])
    threshold = float(config["threshold"])
    is_test = "p_value" in config["method"]
    drifted = score < threshold if is_test else score >= threshold
    return ColumnDrift(str(config["column"]), str(config["method"]), score, threshold, drifted)


def _enough(frame: "pd.DataFrame", column: str) -> bool:
    return column in frame and int(frame[column].notna().sum()) >= FEWEST_ROWS
