"""The request forms of MLflow's scoring server."""

from typing import Any

from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import Rows, declarations, member, require_at_most, rows_of
from mlops_assets.training.manifest import Manifest

MLFLOW_FORMS = ("dataframe_split", "dataframe_records", "inputs", "instances")


def read_mlflow(body: dict[str, Any], manifest: Manifest) -> Rows:
    """Read one of the four forms.

    ``inputs`` and ``instances`` may be columns by name, rows as objects, or rows as lists in the order
    of the model's inputs; for a model of one input its values alone will do, as in MLflow.

    Raises:
        Refusal: 400 naming the form, row or column, or 413 for too many rows.
    """
    forms = [form for form in MLFLOW_FORMS if form in body]
    if len(forms) != 1:
        raise Refusal(400, f"give exactly one of {', '.join(MLFLOW_FORMS)}")
    form, value = forms[0], body[forms[0]]
    return rows_of(_columns(form, value, manifest), manifest)


def _columns(form: str, value: Any, manifest: Manifest) -> dict[str, list[Any]]:
    if form == "dataframe_split":
        return _split(value)
    if form != "dataframe_records":
        if isinstance(value, dict):
            return {name: v if isinstance(v, list) else [v] for name, v in value.items()}
        if isinstance(value, list) and value and not any(isinstance(row, dict) for row in value):
            signature = [c.name for c in manifest.inputs]
            if len(signature) == 1 and not any(isinstance(row, list) for row in value):
                return {signature[0]: value}
            return _lists(value, signature, form)
    return _records(value, form, manifest)


def _split(value: Any) -> dict[str, list[Any]]:
    names = member(value, "columns", list, "dataframe_split")
    data = member(value, "data", list, "dataframe_split")
    if not all(isinstance(name, str) for name in names):
        raise Refusal(400, "dataframe_split: the columns' names must be text")
    if len(set(names)) != len(names):
        raise Refusal(400, "dataframe_split: a column stands twice")
    return _lists(data, names, "dataframe_split")


def _lists(rows: list[Any], names: list[str], form: str) -> dict[str, list[Any]]:
    require_at_most(len(rows), "rows")
    for index, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            raise Refusal(400, f"{form}: row {index} must be a list of {len(names)} values")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _records(value: Any, form: str, manifest: Manifest) -> dict[str, list[Any]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        also = "" if form == "dataframe_records" else ", a list of lists, or columns by name"
        raise Refusal(400, f"{form} must be a list of objects, one per row{also}")
    require_at_most(len(value), "rows")
    if not value:
        raise Refusal(400, "the request has no rows")
    names = dict.fromkeys(name for row in value for name in row)
    declarations(names, manifest)  # before a column is made of each: there may be a million
    return {name: [row.get(name) for row in value] for name in names}
