"""From the source to the endpoint: a version's lineage as OpenLineage events.

Each stage is a job, what it reads and makes are datasets, named by the digest of their content. Times are
those that Dagster had when the evidence was signed; of a stage whose times it had forgotten there are no
events. The deployment starts when its first gate looked and is complete when the release was signed.

Source: OpenLineage, "OpenLineage object model", specification 2-0-2, with the facets that each event names by
their schema's URL.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlops_assets.governance.card_facts import source_of
from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.release import Release
from mlops_assets.governance.version_facts import spec_of
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.verdict import Verdict
from mlops_assets.version import __version__

Json = dict[str, Any]

PRODUCER = f"urn:mlops-assets:{__version__}"

_SPECIFICATION = "https://openlineage.io/spec"
_EVENT = f"{_SPECIFICATION}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = {
    "DatasetVersionDatasetFacet": "1-0-1",
    "DocumentationJobFacet": "1-1-0",
    "JobTypeJobFacet": "2-0-4",
    "OutputStatisticsOutputDatasetFacet": "1-0-2",
    "OwnershipJobFacet": "1-0-1",
    "ParentRunFacet": "1-2-0",
    "SchemaDatasetFacet": "1-2-0",
    "TagsRunFacet": "1-0-0",
    "TestRunFacet": "1-0-1",
}
_NAMESPACE = "mlops-assets"
_RUNS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:mlops-assets:stage-run")


@dataclass(frozen=True)
class _Stage:
    """One stage's run: what it read, what it made, and who judged that."""

    name: str
    says: str
    inputs: Sequence[Json]
    outputs: Sequence[Json]
    gates: Sequence[str] = ()
    tags: dict[str, str] = field(default_factory=dict)


def lineage_events(
    evidence: Evidence, version: str, release: Release | None, verdicts: Sequence[Verdict]
) -> list[Json]:
    """Return a START and a COMPLETE event for each stage, oldest first.

    Args:
        evidence: The version's evidence.
        version: The version in the registry.
        release: What let it serve, if it was released.
        verdicts: What all gates said of it, those on the endpoint included.
    """
    spec, subject = spec_of(evidence), evidence.subject
    raw = _dataset(spec, "raw_data", subject.data, _fields(spec))
    features = _dataset(spec, "validated_features", subject.features)
    package = _dataset(spec, "trained_model", subject.candidate)
    proof = _dataset(spec, "evidence", evidence.digest)
    registered = _dataset(spec, f"registered_version/{version}", subject.candidate)
    stages = (
        _Stage("raw_data", "Reads an immutable snapshot of the source.", [_source(spec)],
               [raw | _rows(evidence)],
               ("data_contract",)),
        _Stage("validated_features", "Computes the features by the code that travels with the model.",
               [raw], [features], ("feature_verification", "label_noise"),
               {"feature_code": subject.feature_code}),
        _Stage("trained_model", "Trains, packages and signs a candidate.", [raw, features], [package],
               ("reproducibility", "components"),
               {"recipe": subject.recipe, "code": subject.code, "environment": subject.environment,
                "spec": subject.spec, "mlflow_run": evidence.facts.get("mlflow_run", "")}),
        _Stage("evaluation", "Judges the candidate on rows that it never learnt from.", [raw, package], [],
               _on_the_candidate(verdicts)),
        _Stage("registered_version", "Signs the evidence and registers the version.", [package],
               [proof, registered], (), {"version": version, "policy": evidence.policy}),
        _Stage("deployed_endpoint", "Tries the version where it is to serve, then lets it serve.",
               [registered, proof], [_dataset(spec, "endpoint", subject.candidate)],
               ("smoke_test", "online_offline_parity"), _released(release)),
    )  # fmt: skip
    told = {verdict.gate: verdict for verdict in verdicts}
    events = (
        event
        for stage in stages
        if (when := _when(stage.name, evidence, release))
        for event in _events(spec, stage, when, told)
    )
    return sorted(events, key=lambda event: str(event["eventTime"]))


@dataclass(frozen=True)
class _When:
    run: str
    start: datetime
    end: datetime


def _when(stage: str, evidence: Evidence, release: Release | None) -> _When | None:
    if stage != "deployed_endpoint":
        run, interval = (evidence.facts.get(f"{stage}.{name}") for name in ("run", "time"))
        if not run or not interval:
            return None
        start, end = map(datetime.fromisoformat, interval.split("/"))
        return _When(run, start, end)
    if release is None:
        return None
    return _When(release.run, min([release.at, *(r.at for r in release.endpoint)]), release.at)


def _events(spec: ModelSpec, stage: _Stage, when: _When, told: dict[str, Verdict]) -> Iterator[Json]:
    job = {
        "namespace": _NAMESPACE,
        "name": f"{spec.name}.{stage.name}",
        "facets": {
            "documentation": _facet("DocumentationJobFacet", description=stage.says),
            "jobType": _facet(
                "JobTypeJobFacet", processingType="BATCH", integration="MLOPS_ASSETS", jobType="STAGE"
            ),
            "ownership": _facet("OwnershipJobFacet", owners=[{"name": spec.owner, "type": "OWNER"}]),
        },
    }
    begun = _known_from_the_start(spec, stage, when)
    tests = [_test(told[gate]) for gate in stage.gates if gate in told]
    done = begun | ({"test": _facet("TestRunFacet", tests=tests)} if tests else {})
    run = str(uuid.uuid5(_RUNS, f"{when.run or when.start}/{spec.name}/{stage.name}"))
    for kind, time, facets, outputs in (
        ("START", when.start, begun, []),
        ("COMPLETE", when.end, done, list(stage.outputs)),
    ):
        yield {
            "eventType": kind,
            "eventTime": f"{time.isoformat(timespec='milliseconds')}Z",
            "run": {"runId": run, "facets": facets},
            "job": job,
            "inputs": list(stage.inputs),
            "outputs": outputs,
            "producer": PRODUCER,
            "schemaURL": _EVENT,
        }


def _known_from_the_start(spec: ModelSpec, stage: _Stage, when: _When) -> Json:
    facets = {}
    if when.run:  # a rollback by hand is no Dagster run
        job = {"namespace": _NAMESPACE, "name": f"{spec.name}.lifecycle"}
        facets["parent"] = _facet("ParentRunFacet", run={"runId": when.run}, job=job)
    tags = [{"key": k, "value": v, "source": "MLOPS_ASSETS"} for k, v in stage.tags.items() if v]
    if tags:
        facets["tags"] = _facet("TagsRunFacet", tags=tags)
    return facets


def _dataset(spec: ModelSpec, name: str, digest: str, fields: list[Json] | None = None) -> Json:
    facets = {"version": _facet("DatasetVersionDatasetFacet", datasetVersion=f"sha256:{digest}")}
    if fields:
        facets["schema"] = _facet("SchemaDatasetFacet", fields=fields)
    return {"namespace": _NAMESPACE, "name": f"{spec.name}/{name}@sha256:{digest}", "facets": facets}


def _rows(evidence: Evidence) -> Json:
    """Return what is told of the snapshot where it is made, if its size is known."""
    if not (rows := evidence.facts.get("rows")):
        return {}
    statistics = _facet("OutputStatisticsOutputDatasetFacet", rowCount=int(rows))
    return {"outputFacets": {"outputStatistics": statistics}}


def _source(spec: ModelSpec) -> Json:
    facets = {"schema": _facet("SchemaDatasetFacet", fields=_fields(spec))}
    return {"namespace": f"{_NAMESPACE}:{spec.data.source.type}", "name": source_of(spec), "facets": facets}


def _fields(spec: ModelSpec) -> list[Json]:
    declared = {column.name: column.type for column in spec.data.features}
    return [
        {"name": name, "type": declared[name]} if name in declared else {"name": name}
        for name in spec.data.columns
    ]


def _on_the_candidate(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    elsewhere = ("data_contract", "feature_verification", "label_noise", "reproducibility", "components",
                 "smoke_test", "online_offline_parity")  # fmt: skip
    return tuple(verdict.gate for verdict in verdicts if verdict.gate not in elsewhere)


def _released(release: Release | None) -> dict[str, str]:
    if release is None:
        return {}
    told = {"serial": str(release.serial), "actor": release.actor, "replaced": release.replaced or "none"}
    return {"action": release.action, **told}


def _test(verdict: Verdict) -> Json:
    status = "skip" if verdict.measurement.not_applicable else "pass" if verdict.passed else "fail"
    return {"name": verdict.gate, "status": status, "severity": "error", "description": verdict.summary}


def _facet(name: str, **content: Any) -> Json:
    url = f"{_SPECIFICATION}/facets/{_FACETS[name]}/{name}.json#/$defs/{name}"
    return {"_producer": PRODUCER, "_schemaURL": url, **content}
