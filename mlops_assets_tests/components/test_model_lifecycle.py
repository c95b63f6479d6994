"""The component: a spec becomes definitions, a wrong one becomes a readable error."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import jsonschema
import pytest
import yaml
from dagster.components.core.snapshot import get_package_entry_snap
from dagster.components.testing import DefsFolderSandbox, create_defs_folder_sandbox
from dagster_shared.serdes.objects.package_entry import EnvRegistryKey
from dagster_shared.yaml_utils.sample_yaml import generate_sample_yaml

import mlops_assets
from mlops_assets.components.model_lifecycle import ModelLifecycle, lifecycle_definitions
from mlops_assets.specs.gate_rules import Gates
from mlops_assets.specs.loading import load_fleet
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.stage import LIFECYCLE, MONITORING
from mlops_assets_tests.whole_fleets import whole_fleet

ATTRIBUTES: dict[str, Any] = {
    "name": "churn",
    "owner": "team:growth",
    "risk": "limited",
    "purpose": "Tell which customers are about to leave.",
    "task": "binary_classification",
    "data": {
        "source": {"type": "csv", "path": "churn.csv"},
        "time_column": "seen_at",
        "target": "left",
        "features": ["age", {"name": "plan", "type": "string", "allowed": ["basic", "full"]}],
    },
    "training": {"estimator": "sklearn.linear_model.LogisticRegression"},
    "evaluation": {"primary_metric": "roc_auc", "thresholds": {"roc_auc": {"min": 0.6}}},
}
TASKS = {
    "binary_classification": "sklearn.ensemble.HistGradientBoostingClassifier",
    "multiclass_classification": "sklearn.ensemble.HistGradientBoostingClassifier",
    "regression": "sklearn.ensemble.HistGradientBoostingRegressor",
}


@pytest.fixture
def sandbox() -> Iterator[DefsFolderSandbox]:
    with create_defs_folder_sandbox() as made:
        yield made


def write(sandbox: DefsFolderSandbox, folder: str, attributes: dict[str, Any]) -> Path:
    path = sandbox.defs_folder_path / folder
    path.mkdir()
    text = yaml.safe_dump({"type": "mlops_assets.ModelLifecycle", "attributes": attributes}, sort_keys=False)
    (path / "defs.yaml").write_text(text)
    return path


def scaffold(sandbox: DefsFolderSandbox, name: str, **params: str) -> Path:
    return sandbox.scaffold_component(ModelLifecycle, name, scaffold_params=params or None)


def changed(*path: str | int, to: Any) -> dict[str, Any]:
    attributes = deepcopy(ATTRIBUTES)
    inside: Any = attributes
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = to
    return attributes


def test_attributes_become_six_assets_of_one_group_that_say_whose_and_what_they_are(
    sandbox: DefsFolderSandbox,
) -> None:
    with sandbox.load_component_and_build_defs(write(sandbox, "churn", ATTRIBUTES)) as (component, defs):
        assert isinstance(component, ModelLifecycle)
        graph = defs.resolve_asset_graph()
        assert {k.to_user_string() for k in graph.get_all_asset_keys()} == {
            f"churn/{stage}" for stage in LIFECYCLE
        }
        for key in graph.get_all_asset_keys():
            node = graph.get(key)
            assert node.group_name == "churn"
            assert node.owners == ["team:growth"]
            assert node.kinds
            assert node.description
            assert node.code_version
            assert node.tags["mlops/model"] == "churn"
            assert node.tags["mlops/risk"] == "limited"
            assert node.tags["mlops/task"] == "binary_classification"


def test_each_stage_follows_the_one_before_and_monitoring_the_endpoint() -> None:
    graph = whole_fleet(ModelSpec.model_validate(ATTRIBUTES)).resolve_asset_graph()
    road = [dg.AssetKey(["churn", stage]) for stage in (*LIFECYCLE, MONITORING)]
    for before, after in pairwise(road):
        assert before in graph.get(after).parent_keys


def test_every_gate_is_blocking() -> None:
    graph = lifecycle_definitions(ModelSpec.model_validate(ATTRIBUTES), Path()).resolve_asset_graph()
    gates = {key.name: graph.get(key).blocking for key in graph.asset_check_keys}
    assert gates == dict.fromkeys([*Gates.model_fields, "approvals"], True)


def test_two_models_and_their_automation_load_together(sandbox: DefsFolderSandbox) -> None:
    write(sandbox, "churn", ATTRIBUTES)
    write(sandbox, "upsell", changed("name", to="upsell"))
    sandbox.scaffold_component(mlops_assets.FleetAutomation, "fleet")
    with sandbox.build_all_defs() as defs:
        graph = defs.resolve_asset_graph()
        assert {n.group_name for n in graph.asset_nodes} == {"churn", "fleet", "upsell"}
        for model in ("churn", "upsell"):
            assert graph.get(dg.AssetKey([model, MONITORING])).code_version
        assert defs.resolve_sensor_def("retraining").default_status == dg.DefaultSensorStatus.RUNNING
        assert defs.resolve_schedule_def("monitoring_day").default_status == dg.DefaultScheduleStatus.RUNNING
        dg.Definitions.validate_loadable(defs)


def test_code_versions_follow_the_parts_of_the_spec_they_depend_on() -> None:
    def versions(attributes: dict[str, Any]) -> dict[str, str | None]:
        graph = lifecycle_definitions(ModelSpec.model_validate(attributes), Path()).resolve_asset_graph()
        return {n.key.path[-1]: n.code_version for n in graph.asset_nodes}

    before = versions(ATTRIBUTES)
    after = versions(changed("training", "params", to={"C": 0.1}))
    assert {stage for stage in before if before[stage] != after[stage]} == {"trained_model"}


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        (changed("owner", to="me"), ("attributes.owner", "String should match pattern")),
        (changed("risk", to="tiny"), ("attributes.risk", "'minimal', 'limited' or 'high'")),
        (changed("trainning", to={}), ("attributes.trainning", "Extra inputs are not permitted")),
        ({k: v for k, v in ATTRIBUTES.items() if k != "purpose"}, ("attributes.purpose", "Field required")),
        (
            changed("evaluation", "primary_metric", to="roc_acu"),
            ("attributes.evaluation.primary_metric", "roc_acu"),
        ),
        (changed("data", "features", 1, "type", to="text"), ("attributes.data.features.1.type",)),
    ],
)
def test_wrong_attributes_say_file_and_place(
    attributes: dict[str, Any], told: tuple[str, ...], sandbox: DefsFolderSandbox
) -> None:
    path = write(sandbox, "churn", attributes)
    with pytest.raises(Exception) as caught, sandbox.load_component_and_build_defs(path):  # noqa: PT011
        pass
    said, error = "", caught.value
    while error is not None:
        said += f"{error}\n"
        error = error.__cause__  # type: ignore[assignment]
    assert "defs.yaml" in said
    for words in told:
        assert words in said


@pytest.mark.parametrize("task", TASKS)
def test_a_scaffolded_spec_loads_and_has_no_problem(task: str, sandbox: DefsFolderSandbox) -> None:
    path = scaffold(sandbox, "my_model", task=task)
    with sandbox.load_component_and_build_defs(path) as (component, defs):
        assert isinstance(component, ModelLifecycle)
        assert component.spec.name == "my_model"
        assert component.spec.task == task
        assert component.spec.training.estimator == TASKS[task]
        dg.Definitions.validate_loadable(defs)
        fleet = load_fleet([path], import_code=True)
        assert not fleet.problems


def test_a_spec_scaffolded_in_a_folder_of_folders_names_its_source_in_full(
    sandbox: DefsFolderSandbox,
) -> None:
    path = scaffold(sandbox, "growth/churn")
    with sandbox.load_component_and_build_defs(path) as (component, _):
        assert isinstance(component, ModelLifecycle)
        function = f"{sandbox.project_name}.defs.growth.churn.source:load"
        assert component.spec.data.source.model_dump()["function"] == function
        assert not load_fleet([path], import_code=True).problems


def test_a_spec_scaffolded_from_a_csv_file_has_its_columns(
    sandbox: DefsFolderSandbox, tmp_path: Path
) -> None:
    csv = tmp_path / "sales.csv"
    rows = [f"2024-01-{day:02},{day},{'north' if day % 2 else 'south'},{day * 1.5}" for day in range(1, 31)]
    csv.write_text("\n".join(["sold_at,visits,region,revenue", *rows]))
    path = scaffold(sandbox, "sales", csv=str(csv))
    with sandbox.load_component_and_build_defs(path) as (component, _):
        assert isinstance(component, ModelLifecycle)
        spec = component.spec
        assert spec.task == "regression"
        assert spec.data.time_column == "sold_at"
        assert spec.data.target == "revenue"
        assert [(c.name, c.type) for c in spec.data.features] == [("visits", "integer"), ("region", "string")]
        assert (path / spec.data.source.model_dump()["path"]).resolve() == csv
        assert not load_fleet([path], import_code=True).problems


def test_a_scaffold_that_cannot_be_made_leaves_no_folder(sandbox: DefsFolderSandbox) -> None:
    with pytest.raises(Exception, match=r"nowhere\.csv cannot be read"):
        scaffold(sandbox, "sales", csv="nowhere.csv")
    assert not (sandbox.defs_folder_path / "sales").exists()


def test_the_schema_that_editors_and_dg_check_use_accepts_every_spec_here() -> None:
    schema = ModelSpec.model_json_schema()
    own = Path(mlops_assets.__file__).parent / "defs" / "flight_delay" / "defs.yaml"
    for attributes in (ATTRIBUTES, yaml.safe_load(own.read_text())["attributes"]):
        jsonschema.validate(attributes, schema)
    with pytest.raises(jsonschema.ValidationError, match="'tiny' is not one of"):
        jsonschema.validate(changed("risk", to="tiny"), schema)


@pytest.mark.parametrize("name", ["ModelLifecycle", "FleetAutomation"])
def test_dagster_can_describe_the_component(name: str) -> None:
    kind = getattr(mlops_assets, name)
    snap = get_package_entry_snap(EnvRegistryKey("mlops_assets", name), kind)
    assert snap.summary
    assert snap.description
    assert "Args:" not in snap.description  # what a team reads is about the model, not about Python
    # Dagster makes a sample for its documentation page whenever definitions load.
    assert generate_sample_yaml(f"mlops_assets.{name}", kind.get_model_cls().model_json_schema())
