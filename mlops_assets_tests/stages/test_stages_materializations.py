"""What a lifecycle leaves in Dagster for people to look at, and that running it again adds nothing."""

import base64
import io
import random
import re
from pathlib import Path

import dagster as dg
import pytest
from PIL import Image

from mlops_assets_tests.lifecycles import WATCHED, WEEK_LATER, Clinic, MakeClinic

pytestmark = pytest.mark.slow

FIGURES = {
    "raw_data": {"dagster/row_count", "as_of", "window", "newest_row", "digest", "path"},
    "validated_features": {"dagster/row_count", "features", "code_digest", "digest", "path"},
    "trained_model": {"candidate", "recipe", "runtime", "rows_trained", "holdout_from", "mlflow_run"},
    "evaluation": {"roc_auc", "brier", "log_loss", "accuracy", "rows", "champion", "mlflow_run"},
    "registered_version": {"version", "candidate", "mlflow_version"},
    "deployed_endpoint": {"champion", "previous_champion", "moved", "gateway_followed_after_seconds"},
    "monitoring_report": {"served", "labelled", "roc_auc", "harm", "verdict", "alarms"},
}
ALL = tuple(FIGURES)
TABLES = {
    "raw_data": ["first_rows"],
    "validated_features": ["distributions"],
    "evaluation": ["metrics"],
    "registered_version": ["lineage"],
    "monitoring_report": ["drift", "performance"],
}
PICTURES = {
    "raw_data": ["rows_by_day"],
    "evaluation": ["calibration"],
    "monitoring_report": ["drift_plot", "history"],
}


def markdown(clinic: Clinic, stage: str, name: str) -> str:
    value = clinic.materialization(stage).metadata[name]
    assert isinstance(value, dg.MarkdownMetadataValue)
    return value.md_str or ""


@pytest.mark.parametrize("stage", ALL)
def test_a_stage_says_whose_it_is_what_it_is_and_which_code_and_data_made_it(
    watched_clinic: Clinic, stage: str
) -> None:
    node = watched_clinic.definitions.resolve_asset_graph().get(dg.AssetKey(["tumour", stage]))
    assert node.owners == ["team:pathology"]
    assert node.group_name == "tumour"
    assert node.kinds
    assert node.description
    tags = {"mlops/model": "tumour", "mlops/risk": "minimal", "mlops/task": "binary_classification"}
    assert tags.items() <= node.tags.items()
    left = watched_clinic.materialization(stage).tags or {}
    assert left["dagster/code_version"] == node.code_version
    assert re.fullmatch("[0-9a-f]{64}", left["dagster/data_version"])
    assert left["dagster/data_version_is_user_provided"] == "true", "it has to tell the content"


@pytest.mark.parametrize("stage", ALL)
def test_a_stage_shows_the_figures_people_look_for(watched_clinic: Clinic, stage: str) -> None:
    shown = watched_clinic.materialization(stage).metadata
    assert FIGURES[stage] - set(shown) == set()


@pytest.mark.parametrize(("stage", "name"), [(s, n) for s, names in TABLES.items() for n in names])
def test_a_table_has_a_head_and_rows(watched_clinic: Clinic, stage: str, name: str) -> None:
    head, rule, *rows = markdown(watched_clinic, stage, name).split("\n")
    assert rows
    columns = head.count("|")
    assert columns >= 3
    assert {line.replace("\\|", "").count("|") for line in (rule, *rows)} == {columns}


@pytest.mark.parametrize(("stage", "name"), [(s, n) for s, names in PICTURES.items() for n in names])
def test_a_picture_is_a_whole_png_in_the_markdown_itself(
    watched_clinic: Clinic, stage: str, name: str
) -> None:
    found = re.fullmatch(
        r"!\[[^]]+\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", markdown(watched_clinic, stage, name)
    )
    assert found is not None
    picture = Image.open(io.BytesIO(base64.b64decode(found[1], validate=True)))
    picture.load()
    assert picture.format == "PNG"
    assert min(picture.size) > 50
    assert len(set(picture.convert("L").get_flattened_data())) > 2, "nothing is drawn on it"


def test_data_versions_are_digests_of_what_was_handed_on(watched_clinic: Clinic) -> None:
    deployed = watched_clinic.record("deployed_endpoint")
    evaluated = deployed["registered"]["evaluated"]
    trained = evaluated["trained"]
    assert watched_clinic.data_version("raw_data") == trained["features"]["raw"]["digest"]
    assert watched_clinic.data_version("validated_features") == trained["features"]["digest"]
    for stage in ("trained_model", "registered_version", "deployed_endpoint"):
        assert watched_clinic.data_version(stage) == trained["candidate"]
    (snapshot,) = (watched_clinic.root / "snapshots" / "tumour").iterdir()
    assert snapshot.name == f"{watched_clinic.data_version('raw_data')}.parquet"


def test_running_the_same_time_again_adds_nothing(watched_clinic: Clinic, make_clinic: MakeClinic) -> None:
    clinic = make_clinic(watched_clinic.root)
    clinic.project.write_spec(**WATCHED)
    # The spec has changed since: the champion is released anew, on evidence under the spec as it stands.
    assert clinic.run().success
    assert clinic.run("monitoring_report", as_of=WEEK_LATER).success  # here the report lies elsewhere
    before, expected = content(clinic), {stage: clinic.data_version(stage) for stage in ALL}
    road = clinic.run()
    assert road.success, road.failures
    assert (*road.materialized, "monitoring_report") == ALL
    assert clinic.run("monitoring_report", as_of=WEEK_LATER).success
    assert clinic.materialization("deployed_endpoint").metadata["moved"].value is False
    assert {stage: clinic.data_version(stage) for stage in ALL} == expected
    assert content(clinic) == before


def content(clinic: Clinic) -> dict[str, object]:
    """Return what of a home would grow if something was made twice."""
    files = [p for p in clinic.root.rglob("*") if p.is_file() and p.parts[-3] in ("snapshots", "features")]
    return {
        "files": sorted(str(p.relative_to(clinic.root)) for p in files),
        "runs": clinic.mlflow_runs,
        "versions": [v.version for v in clinic.registry.versions("tumour")],
        "aliases": clinic.aliases,
        "assessments": clinic.state.assessments_after(0),
        "changes": clinic.audit.entries("tumour"),
    }


def test_the_order_in_which_a_source_delivers_its_rows_does_not_matter(
    serving_clinic: Clinic, tmp_path: Path
) -> None:
    before = serving_clinic.data_version("raw_data")
    source = serving_clinic.project.folder / "tumours.csv"
    head, *rows = source.read_text().splitlines()
    random.Random(0).shuffle(rows)
    source.write_text("\n".join([head, *rows]))
    assert serving_clinic.run("raw_data").success
    assert serving_clinic.data_version("raw_data") == before
    assert len(list((serving_clinic.root / "snapshots" / "tumour").iterdir())) == 1
    source.write_text("\n".join([head, *rows[1:]]))
    assert serving_clinic.run("raw_data").success
    assert serving_clinic.data_version("raw_data") != before
