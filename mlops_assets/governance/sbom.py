"""Bill of materials: the environment's components and the model made with them, as CycloneDX 1.6.

It is written by hand because the standard's Python library knows no model card; tests hold it against the
standard's own schema. The same facts give the same document: time and serial number are in it only if given.

Source: ECMA-424, "CycloneDX Bill of Materials Specification" (2024), sections on components and on the
model card.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from mlops_assets.governance.card_facts import CardFacts, ColumnFacts
from mlops_assets.governance.components import Component
from mlops_assets.verdict import Figure
from mlops_assets.version import __version__

Json = dict[str, Any]


def sbom(
    components: Sequence[Component],
    model: CardFacts | None = None,
    *,
    serial_number: str | None = None,
    timestamp: str | None = None,
) -> Json:
    """Return the bill of materials, ready to be written as JSON.

    Args:
        components: The environment's components.
        model: The version that was made with them; the environment alone if None.
        serial_number: Its name, such as ``urn:uuid:…``.
        timestamp: When it was made, RFC 3339.
    """
    tool = {"type": "application", "name": "mlops-assets", "version": __version__}
    metadata: Json = {"tools": {"components": [tool]}}
    document: Json = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": metadata,
        "components": [_component(component) for component in components],
    }
    if serial_number:
        document["serialNumber"] = serial_number
    if timestamp:
        metadata["timestamp"] = timestamp
    if model:
        metadata["component"] = _model(model)
        made_with = sorted(component.purl for component in components)
        document["dependencies"] = [{"ref": _reference(model), "dependsOn": made_with}]
    return document


def _component(component: Component) -> Json:
    found: Json = {
        "type": "library",
        "bom-ref": component.purl,
        "name": component.name,
        "version": component.version,
        "purl": component.purl,
    }
    if component.supplier:
        found["supplier"] = {"name": component.supplier}
    if component.licence:
        found["licenses"] = [{"expression": component.licence}]
    elif component.told:
        found["licenses"] = [{"license": {"name": component.told}}]
    return found


def _reference(model: CardFacts) -> str:
    return f"model:{model.model}@{model.version}" if model.version else f"model:{model.model}"


def _model(model: CardFacts) -> Json:
    found: Json = {
        "type": "machine-learning-model",
        "bom-ref": _reference(model),
        "name": model.model,
        "description": model.purpose,
        "publisher": model.owner,
        "modelCard": {
            "modelParameters": _parameters(model),
            "quantitativeAnalysis": {"performanceMetrics": list(_metrics(model))},
            "considerations": _considerations(model),
            "properties": _properties({"mlops:risk": model.risk, "mlops:owner": model.owner}),
        },
        "properties": _properties({f"mlops:{name}": value for name, value in model.versions.items()}),
    }
    if model.version:
        found["version"] = model.version
    return found


def _parameters(model: CardFacts) -> Json:
    inputs = [column for column in model.data.columns if column.role == "feature"]
    target = next((column for column in model.data.columns if column.role == "target"), None)
    output = "number" if model.task == "regression" else "probability of each class"
    return {
        "approach": {"type": "supervised"},
        "task": model.task,
        "modelArchitecture": model.training.estimator,
        "datasets": [_dataset(model)],
        "inputs": [{"format": _format(column)} for column in inputs],
        "outputs": [{"format": f"{target.name}: {output}" if target else output}],
    }


def _format(column: ColumnFacts) -> str:
    return f"{column.name}: {column.type}" + (f", {column.declared}" if column.declared else "")


def _dataset(model: CardFacts) -> Json:
    data = model.data
    counts = {"rows": data.rows, "training rows": data.training_rows, "hold-out rows": data.holdout_rows}
    told = {name: str(count) for name, count in counts.items() if count is not None}
    window = {"start": data.start.isoformat(), "end": data.end.isoformat()}
    return {
        "type": "dataset",
        "name": f"{model.model} training data",
        "description": f"{data.source}, events from {data.start:%Y-%m-%d} until {data.end:%Y-%m-%d}",
        "contents": {"properties": _properties({**window, **told, **data.digests})},
        "sensitiveData": list(data.sensitive),
        "governance": {"owners": [{"organization": {"name": model.owner}}]},
    }


def _metrics(model: CardFacts) -> Iterable[Json]:
    for figure in model.metrics:
        yield _metric(figure.name, figure)
    for group in model.by_group:
        yield {**_metric(group.figure.name, group.figure), "slice": f"{group.column} = {group.value}"}


def _metric(name: str, figure: Figure) -> Json:
    """Return a metric in the standard's form, which has figures as text."""
    found: Json = {"type": name}
    if figure.value is not None:
        found["value"] = f"{figure.value:.6g}"
    if figure.low is not None and figure.high is not None:
        found["confidenceInterval"] = {
            "lowerBound": f"{figure.low:.6g}",
            "upperBound": f"{figure.high:.6g}",
        }
    return found


def _considerations(model: CardFacts) -> Json:
    found: Json = {"users": [model.owner], "useCases": [model.purpose]}
    if model.limits:
        found["technicalLimitations"] = [model.limits]
    if model.residual_risks:
        found["ethicalConsiderations"] = [{"name": model.residual_risks}]
    if model.groups:
        found["fairnessAssessments"] = [{"groupAtRisk": model.groups, **_fairness(model)}]
    return found


def _fairness(model: CardFacts) -> Json:
    """Return what the gates on groups found, and that a version is refused where they do not pass."""
    verdicts = [v for v in model.verdicts if v.gate in ("fairness", "slices")]
    if not verdicts:
        return {}
    return {
        "harms": "; ".join(f"{verdict.gate}: {verdict.summary}" for verdict in verdicts),
        "mitigationStrategy": "A version that breaks a limit of these gates is not registered.",
    }


def _properties(values: dict[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in sorted(values.items())]
