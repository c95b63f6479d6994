"""Batch scoring on trial: the same road from a file to a file, for who wants to know what it answers."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.prediction_log.prediction_ids import PredictionIds
from mlops_assets.scoring.checks import Signature
from mlops_assets.scoring.forms import Form, served_form
from mlops_assets.scoring.inputs import open_input
from mlops_assets.scoring.outputs import ScoredColumns, Writer, part_of
from mlops_assets.training.package import PackagedModel

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def scored_through_files(package: PackagedModel, rows: "pd.DataFrame") -> "np.ndarray[Any, Any]":
    """Return the predictions that batch scoring writes for some rows, as the form predicts that serves.

    Args:
        package: The package.
        rows: Raw input columns, and the time column or not.

    Returns:
        As :meth:`PackagedModel.predict` does.

    Raises:
        DataError: They are not what the model takes.
    """
    import numpy as np
    import pyarrow.parquet as pq

    manifest = package.manifest
    with tempfile.TemporaryDirectory(prefix="mlops-trial-") as scratch:
        given, out = Path(scratch, "rows.parquet"), Path(scratch, "scored.parquet")
        rows.to_parquet(given, index=False)
        source = open_input(given, {column.name: column.type for column in manifest.inputs})
        signature = Signature.of(manifest, "the rows of the trial", source.columns)
        columns = ScoredColumns(manifest, "trial", (), PredictionIds(b"trial"), 0, "trial")
        first = 0
        with Writer(out, "parquet") as writer, Form(package, served_form(package)) as form:
            for table in source.chunks(signature.columns):
                part = part_of(form.predict(signature.checked(table, first)), table, ())
                writer.write(columns.scored(part, first))
                first += len(table)
        scored = pq.read_table(out)
    if manifest.task == "multiclass_classification":
        return np.column_stack([scored[f"probability_{label}"].to_numpy() for label in manifest.classes])
    predicted: np.ndarray[Any, Any] = scored["prediction"].to_numpy()
    return predicted
