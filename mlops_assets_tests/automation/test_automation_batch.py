"""A spec's schedule starts its batch scoring, through one sensor for the whole fleet."""

from datetime import datetime
from typing import Any

import dagster as dg
import pytest

from mlops_assets.automation.fleet import fleet_definitions
from mlops_assets.components.model_lifecycle import lifecycle_definitions
from mlops_assets.specs.model_spec import ModelSpec

FILES = {"input": {"type": "csv", "path": "rows.csv"}, "output": "scored.parquet"}


def definitions(make_spec: Any, folder: Any, **batches: dict[str, Any] | None) -> dg.Definitions:
    specs = [
        make_spec(name=name, **({"batch": {**FILES, **batch}} if batch is not None else {}))
        for name, batch in batches.items()
    ]
    return dg.Definitions.merge(*(lifecycle_definitions(s, folder) for s in specs), fleet_definitions())


def started(defs: dg.Definitions, *ticks: str) -> list[list[str]]:
    instance, cursor, found = dg.DagsterInstance.ephemeral(), None, []
    for tick in ticks:
        at = datetime.fromisoformat(f"{tick}+00:00")
        result = dg.evaluate_automation_conditions(defs, instance, cursor=cursor, evaluation_time=at)
        cursor = result.cursor
        found.append(sorted(r.key.to_user_string() for r in result.results if not r.true_subset.is_empty))
    return found


def test_each_batch_starts_when_its_own_schedule_says_and_once(make_spec: Any, tmp_path: Any) -> None:
    defs = definitions(
        make_spec,
        tmp_path,
        nightly={"schedule": "30 2 * * *"},
        hourly={"schedule": "0 * * * *"},
        by_hand={},
        without=None,
    )
    # The first look only begins to wait.
    ticks = ("2024-06-01 01:45", "2024-06-01 02:01", "2024-06-01 02:31", "2024-06-01 02:32")
    hourly, nightly = ["hourly/batch_scores"], ["nightly/batch_scores"]
    assert started(defs, *ticks) == [[], hourly, nightly, []]
    assets = {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}
    assert "by_hand/batch_scores" in assets
    assert "without/batch_scores" not in assets


def test_one_sensor_starts_all_batches_and_is_on(make_spec: Any, tmp_path: Any) -> None:
    defs = definitions(make_spec, tmp_path, a={"schedule": "0 * * * *"}, b={"schedule": "0 * * * *"}, c=None)
    sensor = defs.resolve_sensor_def("batch_scoring")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    graph = defs.resolve_asset_graph()
    targets = sensor.asset_selection.resolve(graph)
    assert {key.to_user_string() for key in targets} == {"a/batch_scores", "b/batch_scores"}
    names = {sensor.name for sensor in defs.get_repository_def().sensor_defs}
    assert "default_automation_condition_sensor" not in names


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schedule": "every night"}, "has 2 fields; a cron has five"),
        ({"schedule": "0 25 * * *"}, "'25' is no hour; write *, numbers 0-23"),
        ({"schedule": "5-1 * * * *"}, "'5-1' is no minute"),
        ({"schedule": "0 * * * MON"}, "'MON' is no weekday"),
        ({"output": "scored.json"}, "neither .parquet nor .csv"),
        ({"input": {"type": "python", "function": "a:b"}}, "does not match any of the expected tags"),
    ],
)
def test_a_batch_that_could_never_run_is_no_valid_spec(
    make_spec: Any, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said.replace("*", r"\*")):
        make_spec(batch={**FILES, **changes})


@pytest.mark.parametrize("cron", ["*/15 * * * *", "0 0 1,15 * *", "0 6-18/2 * * 1-5", "59 23 31 12 7"])
def test_a_schedule_is_any_cron_that_dagster_keeps(make_spec: Any, cron: str) -> None:
    spec: ModelSpec = make_spec(batch={**FILES, "schedule": cron})
    assert spec.batch is not None
    assert dg.AutomationCondition.cron_tick_passed(str(spec.batch.schedule))
