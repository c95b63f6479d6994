"""``mlops-assets score`` and ``mlops-assets export`` on a model that went the whole road."""

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from mlops_assets_tests.lifecycles import Clinic, MakeClinic, table_of

FEATURES = ["mean_texture", "mean_smoothness", "mean_symmetry"]


@pytest.fixture(scope="module")
def clinic(make_clinic: MakeClinic, champion_home: Path) -> Clinic:
    return make_clinic(champion_home)


@pytest.fixture
def rows(clinic: Clinic, tmp_path: Path) -> pd.DataFrame:
    """The tumours, their time and features, as the file ``rows.csv``."""
    found = pd.read_csv(clinic.project.folder / "tumours.csv")[["measured_at", *FEATURES]]
    found.to_csv(tmp_path / "rows.csv", index=False)
    return found


def says_one_line(ended: Any, *words: str) -> None:
    assert ended.code == 2, ended.out + ended.err
    assert ended.err.startswith("mlops-assets: ")
    assert ended.err.count("\n") == 1, ended.err
    for word in words:
        assert word in ended.err


def test_a_file_is_scored_by_the_champion_and_that_is_entered(
    clinic: Clinic, rows: pd.DataFrame, tmp_path: Path
) -> None:
    ended = clinic.command("score", "tumour", tmp_path / "rows.csv", tmp_path / "out.csv")
    assert ended.code == 0, ended.err
    assert f"{tmp_path / 'out.csv'}: 569 rows by tumour version 1" in ended.out
    with (tmp_path / "out.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == len(rows)
    assert {(row["model"], row["version"]) for row in found} == {("tumour", "1")}
    assert all(0 <= float(row["prediction"]) <= 1 for row in found)
    (entry,) = clinic.audit.entries("tumour", last=1)
    assert (entry.action, entry.detail["rows"], entry.detail["logged"]) == ("score", 569, False)
    assert entry.detail["candidate"] == clinic.record("trained_model")["candidate"]
    told = clinic.command("explain", found[17]["prediction_id"])
    assert told.code == 0, told.err
    assert f"row 18 of 569 rows of {tmp_path / 'rows.csv'}, scored by tumour version 1" in told.out
    assert clinic.command("audit", "--verify").code == 0


def test_a_logged_row_of_a_batch_is_explained_like_any_other(
    clinic: Clinic, rows: pd.DataFrame, tmp_path: Path
) -> None:
    given, out = tmp_path / "rows.csv", tmp_path / "out.parquet"
    ended = clinic.command("score", "tumour", given, out, "--log", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["rows"] == 569
    assert ended.json["logged"] is True
    prediction = pd.read_parquet(out).iloc[17]
    told = clinic.command("explain", prediction["prediction_id"], "--json")
    assert told.code == 0, told.err
    assert told.json["prediction"]["arm"] == "batch"
    assert told.json["prediction"]["output"] == prediction["prediction"] == told.json["asked_again"]
    assert told.json["release"]["version"] == "1"


def test_a_table_of_a_database_is_scored(clinic: Clinic, rows: pd.DataFrame, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'rows.db'}"
    rows.to_sql("tumours", sa.create_engine(url), index=False)
    few = "SELECT * FROM tumours LIMIT 10"
    ended = clinic.command("score", "tumour", url, tmp_path / "out.csv", "--query", few, "--json")
    assert ended.code == 0, ended.err
    assert ended.json["rows"] == 10
    says_one_line(clinic.command("score", "tumour", url, tmp_path / "out.csv"), "exactly one of --table and")
    given = tmp_path / "rows.csv"
    ended = clinic.command("score", "tumour", given, tmp_path / "out.csv", "--table", "tumours")
    says_one_line(ended, "for a database's URL")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tumor", "rows.csv", "out.csv"], "no model 'tumor' is registered (did you mean 'tumour'?)"),
        (["tumour", "rowz.csv", "out.csv"], "there is no file"),
        (["tumour", "rows.csv", "out.json"], "predictions are written as .parquet or .csv"),
        (["tumour", "rows.csv", "out.csv", "--version", "9"], "tumour has no version 9; it has 1"),
        (["tumour", "rows.csv", "out.csv", "--form", "tpu"], "there is no form 'tpu'"),
    ],
)
def test_what_cannot_be_scored_is_said_in_one_line(
    clinic: Clinic, rows: pd.DataFrame, tmp_path: Path, arguments: list[str], said: str
) -> None:
    model, given, out, *options = arguments
    says_one_line(clinic.command("score", model, tmp_path / given, tmp_path / out, *options), said)
    assert [file.name for file in tmp_path.iterdir()] == ["rows.csv"]


@pytest.mark.slow
def test_only_what_is_proven_scores(make_clinic: MakeClinic, champion_home: Path, tmp_path: Path) -> None:
    clinic = make_clinic(champion_home)
    clinic.project.write_spec(data={"features": [*FEATURES, "mean_radius"]})
    tumours = pd.read_csv(clinic.project.folder / "tumours.csv")
    tumours[[*FEATURES, "mean_radius"]].to_csv(tmp_path / "rows.csv", index=False)
    road = ("raw_data", "validated_features", "trained_model", "evaluation", "registered_version")
    assert clinic.run(*road).success
    # Whoever moves the alias by hand makes nobody champion: version 1 goes on, and it has three features.
    clinic.registry.set_alias("tumour", "champion", "2")
    given, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    says_one_line(clinic.command("score", "tumour", given, out), "unknown columns: 'mean_radius'")
    ended = clinic.command("score", "tumour", given, out, "--version", "2")
    says_one_line(ended, "tumour version 2 was never released; promote it first")
    strict = tmp_path / "policy.yaml"
    strict.write_text("all: {gates: {serving_budget: {max_size_mb: 0.0001}}}\n")
    ended = clinic._warm.cli(
        "score", "tumour", given, out, cwd=clinic.project.root, home=clinic.root, MLOPS_POLICY=str(strict),
    )  # fmt: skip
    says_one_line(ended, "tumour version 1 is refused: gate serving_budget passed")


def test_an_export_is_entered_and_refused_with_reasons(clinic: Clinic, tmp_path: Path) -> None:
    ended = clinic.command("export", "tumour", tmp_path / "edge")
    assert ended.code == 0, ended.err
    (entry,) = clinic.audit.entries("tumour", last=1)
    manifest = json.loads((tmp_path / "edge" / "manifest.json").read_text())
    assert (entry.action, entry.detail["version"], entry.reason) == ("export", "1", f"to {tmp_path / 'edge'}")
    assert entry.detail["candidate"] == manifest["candidate"] == clinic.record("trained_model")["candidate"]
    assert "Tell benign from malignant tumours." in (tmp_path / "edge" / "README.md").read_text()
    says_one_line(clinic.command("export", "tumour", tmp_path / "edge"), "is there already")
    says_one_line(clinic.command("export", "tumour", tmp_path / "b", "--int8"), "has no matrix products")
    assert len(clinic.audit.entries("tumour")) == entry.seq


@pytest.mark.slow
def test_a_spec_s_batch_is_an_asset_and_batch_scoring_is_part_of_the_parity_gate(
    make_clinic: MakeClinic, champion_home: Path
) -> None:
    clinic = make_clinic(champion_home)
    shown = table_of(clinic.check("deployed_endpoint", "online_offline_parity"), "measured")
    (in_batch,) = [row for row in shown if row["figure"].endswith("in batch scoring")]
    assert (in_batch["measured"], in_batch["limit"]) == ("0", "max_difference 1e-09")
    features = clinic.project.columns
    rows = pd.read_csv(clinic.project.folder / "tumours.csv")[["measured_at", *FEATURES]]
    assert set(FEATURES) < set(features)
    rows.to_parquet(clinic.project.folder / "monday.parquet", index=False)
    monday = {"input": {"type": "parquet", "path": "monday.parquet"}, "output": "scored/monday.parquet"}
    clinic.project.write_spec(batch={**monday, "log": True})
    launched = clinic.run("batch_scores")
    assert launched.success, launched.failures
    scored = pd.read_parquet(clinic.project.folder / "scored" / "monday.parquet")
    assert len(scored) == 569
    made = clinic.materialization("batch_scores")
    assert made.metadata["dagster/row_count"].value == 569
    (entry,) = clinic.audit.entries("tumour", last=1)
    assert (entry.action, entry.detail["run"]) == ("score", launched.run_id)
    assert clinic.data_version("batch_scores") == entry.detail["output_digest"]
    rows.drop(columns="mean_texture").to_parquet(clinic.project.folder / "monday.parquet", index=False)
    launched = clinic.run("batch_scores")
    assert "missing columns: mean_texture" in launched.failures["tumour__batch_scores"]
