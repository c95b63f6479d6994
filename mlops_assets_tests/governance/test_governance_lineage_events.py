"""Lineage as OpenLineage events, built anew with OpenLineage's own client, which knows the standard."""

import importlib
import pkgutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from openlineage.client import generated
from openlineage.client.generated import (
    base,
    ownership_job,
    parent_run,
    schema_dataset,
    tags_run,
    test_run,
)
from openlineage.client.serde import Serde

from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.lineage_events import PRODUCER, lineage_events
from mlops_assets.governance.release import Release
from mlops_assets_tests.governance.packs import RUN, Platform, small_evidence

STAGES = [
    "raw_data",
    "validated_features",
    "trained_model",
    "evaluation",
    "registered_version",
    "deployed_endpoint",
]

# What a facet's lists and members are made of; all else in it is plain.
_NESTED: dict[str, dict[str, Any]] = {
    "OwnershipJobFacet": {"owners": ownership_job.Owner},
    "ParentRunFacet": {"run": parent_run.Run, "job": parent_run.Job},
    "SchemaDatasetFacet": {"fields": schema_dataset.SchemaDatasetFacetFields},
    "TagsRunFacet": {"tags": tags_run.TagsRunFacetFields},
    "TestRunFacet": {"tests": test_run.TestExecution},
}


def _facet_classes() -> Iterator[tuple[str, Any]]:
    for module in pkgutil.iter_modules(generated.__path__):
        loaded = importlib.import_module(f"{generated.__name__}.{module.name}")
        for name, kind in vars(loaded).items():
            if (
                isinstance(kind, type)
                and issubclass(kind, base.BaseFacet)
                and kind.__module__ == loaded.__name__
            ):
                yield name, kind


FACETS = dict(_facet_classes())


def facet(value: dict[str, Any]) -> Any:
    name = value["_schemaURL"].rpartition("/")[2]
    content = {key: inner for key, inner in value.items() if not key.startswith("_")}
    for key, kind in _NESTED.get(name, {}).items():
        inner = content[key]
        content[key] = [kind(**one) for one in inner] if isinstance(inner, list) else kind(**inner)
    return FACETS[name](**content, producer=value["_producer"])


def facets(value: dict[str, Any]) -> dict[str, Any]:
    return {name: facet(one) for name, one in value.items()}


def dataset(kind: Any, value: dict[str, Any]) -> Any:
    further = {key: facets(value[key]) for key in ("inputFacets", "outputFacets") if key in value}
    return kind(value["namespace"], value["name"], facets=facets(value["facets"]), **further)


def rebuilt(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as OpenLineage's client writes it."""
    run, job = event["run"], event["job"]
    made = base.RunEvent(
        eventTime=event["eventTime"],
        eventType=base.EventType[event["eventType"]],
        producer=event["producer"],
        run=base.Run(run["runId"], facets=facets(run["facets"])),
        job=base.Job(job["namespace"], job["name"], facets=facets(job["facets"])),
        inputs=[dataset(base.InputDataset, one) for one in event["inputs"]],
        outputs=[dataset(base.OutputDataset, one) for one in event["outputs"]],
    )
    return dict(Serde.to_dict(made))


def without_empty(value: Any) -> Any:
    """Return a value without empty members, which the client writes or leaves out as it likes."""
    if isinstance(value, dict):
        return {key: kept for key, inner in value.items() if (kept := without_empty(inner)) not in ({}, [])}
    return [without_empty(one) for one in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, Release]:
    evidence = small_evidence()
    return evidence, Platform(tmp_path_factory.mktemp("platform")).released(evidence).release


def events_of(released: tuple[Evidence, Release | None]) -> list[dict[str, Any]]:
    evidence, release = released
    return lineage_events(evidence, "1", release, list(evidence.verdicts().values()))


def test_every_event_is_as_openlineages_own_client_writes_it(released: tuple[Evidence, Release]) -> None:
    events = events_of(released)
    for event in events:
        assert without_empty(rebuilt(event)) == without_empty(event)
        assert event["producer"] == PRODUCER
    told = {name for event in events for name in event["run"]["facets"]}
    assert told == {"parent", "tags", "test"}


def test_the_client_refuses_what_is_wrong(released: tuple[Evidence, Release]) -> None:
    event = events_of(released)[0]
    with pytest.raises(ValueError, match="badly formed"):
        rebuilt({**event, "run": {**event["run"], "runId": "1"}})
    with pytest.raises(TypeError):
        rebuilt(
            {
                **event,
                "job": {**event["job"], "facets": {"x": {**event["job"]["facets"]["ownership"], "o": 1}}},
            }
        )


def test_every_stage_starts_and_is_complete_in_the_order_of_the_road(
    released: tuple[Evidence, Release],
) -> None:
    events = events_of(released)
    assert [(e["eventType"], e["job"]["name"]) for e in events] == [
        (kind, f"small.{stage}") for stage in STAGES for kind in ("START", "COMPLETE")
    ]
    assert [e["eventTime"] for e in events] == sorted(e["eventTime"] for e in events)
    runs = {e["job"]["name"]: UUID(e["run"]["runId"]) for e in events}
    assert len(set(runs.values())) == len(STAGES)
    assert {e["run"]["facets"]["parent"]["run"]["runId"] for e in events} == {RUN}


def test_what_a_stage_reads_was_made_by_one_before_it(released: tuple[Evidence, Release]) -> None:
    evidence, _ = released
    made = {"CSV rows.csv"}
    for event in events_of(released):
        assert {one["name"] for one in event["inputs"]} <= made
        if event["eventType"] == "COMPLETE":
            made |= {one["name"] for one in event["outputs"]}
    for digest in (
        evidence.subject.data,
        evidence.subject.features,
        evidence.subject.candidate,
        evidence.digest,
    ):
        assert any(digest in name for name in made)


def test_gates_are_told_where_they_stand(released: tuple[Evidence, Release]) -> None:
    evidence, _ = released
    told = [
        test["name"]
        for event in events_of(released)
        if "test" in event["run"]["facets"]
        for test in event["run"]["facets"]["test"]["tests"]
    ]
    assert sorted(told) == sorted(evidence.verdicts())


def test_what_is_not_known_is_not_told(released: tuple[Evidence, Release]) -> None:
    evidence, release = released
    facts = {name: fact for name, fact in evidence.facts.items() if not name.startswith("evaluation.")}
    forgotten = evidence.model_copy(update={"facts": facts})
    assert "small.evaluation" not in {e["job"]["name"] for e in events_of((forgotten, release))}
    assert "small.deployed_endpoint" not in {e["job"]["name"] for e in events_of((evidence, None))}


def test_a_way_back_that_somebody_typed_has_no_dagster_run(released: tuple[Evidence, Release]) -> None:
    evidence, release = released
    back = release.model_copy(update={"run": "", "action": "rollback", "at": release.at + timedelta(hours=1)})
    last = events_of((evidence, back))[-1]
    assert without_empty(rebuilt(last)) == without_empty(last)
    assert "parent" not in last["run"]["facets"]
    tags = {tag["key"]: tag["value"] for tag in last["run"]["facets"]["tags"]["tags"]}
    assert (tags["action"], tags["serial"]) == ("rollback", "1")
