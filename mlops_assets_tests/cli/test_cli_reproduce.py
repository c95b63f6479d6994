"""``mlops-assets reproduce``: a version is trained again from its record, whatever has changed since."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlops_assets_tests.lifecycles import Clinic, MakeClinic
from mlops_assets_tests.whole_processes import Ended, TumourProject

_TRAIN = """\
from pathlib import Path
from sklearn.linear_model import LogisticRegression
from clinic.defs.tumour.settings import STRENGTH

def train(features, target, params, seed):
    if (notes := Path("notes.txt")).exists():
        notes.read_text()
    return LogisticRegression(C=STRENGTH, random_state=seed, **params).fit(features, target)
"""
_SETTINGS = "STRENGTH = 0.5\n"
_FEATURES = """\
def compute(rows):
    return rows.assign(rough=rows["mean_texture"] * rows["mean_smoothness"])
"""
# What it makes hangs on the machine's settings, which a second training at the same place has too.
_HANGS_ON_SETTINGS = """\
import os
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

def train(features, target, params, seed):
    model = LogisticRegression(C=float(os.environ.get("CLINIC_STRENGTH", "1")))
    return make_pipeline(StandardScaler(), model).fit(features, target)
"""


def write_code(project: TumourProject, **files: str) -> None:
    """Write modules of the project, and have the spec name them."""
    for name, text in files.items():
        (project.folder / f"{name}.py").write_text(text)
    module = "clinic.defs.tumour"
    spec: dict[str, Any] = {
        "training": {"function": f"{module}.train:train", "estimator": None, "params": {}}
    }
    if "shape" in files:
        spec["data"] = {"feature_function": f"{module}.shape:compute"}
    project.write_spec(**spec)


@pytest.fixture(scope="module")
def own_code(make_clinic: MakeClinic, prepared_home: Path) -> Clinic:
    """A clinic whose champion was made by code of the project; to be copied, not changed."""
    clinic = make_clinic(prepared_home)
    write_code(clinic.project, train=_TRAIN, settings=_SETTINGS, shape=_FEATURES)
    launched = clinic.run()
    assert launched.success, launched.failures
    return clinic


@pytest.fixture
def recorded(own_code: Clinic, make_clinic: MakeClinic, tmp_path: Path) -> Clinic:
    """A copy of that clinic for one test, beside a project that was never its own."""
    return make_clinic(own_code.root)


def reproduced(warm: Any, clinic: Clinic, *argv: str, cwd: Path | None = None) -> Ended:
    ended: Ended = warm.cli(
        "reproduce", "tumour", "1", *argv, cwd=cwd or clinic.project.root, home=clinic.root
    )
    assert "Traceback" not in ended.out + ended.err
    return ended


def kept(clinic: Clinic, what: str) -> Path:
    """Return the one file of a kind that the home keeps of the model."""
    (file,) = (clinic.root / what / "tumour").glob("*.parquet")
    return file


def test_a_version_is_made_again_bit_by_bit(warm: Any, project: TumourProject, champion_home: Path) -> None:
    ended = warm.cli("reproduce", "tumour", "1", cwd=project.root, home=champion_home)
    assert ended.code == 0, ended.out + ended.err
    first, second = ended.out.splitlines()
    assert re.fullmatch(r"tumour version 1: identical: \d+ predictions", first)
    assert second == "the same versions are installed as at its training"


def test_the_record_is_enough_where_there_is_no_project(warm: Any, recorded: Clinic, tmp_path: Path) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    shutil.rmtree(recorded.project.root)
    told = reproduced(warm, recorded, "--json", cwd=elsewhere)
    assert told.code == 0, told.out + told.err
    assert told.json["identical"] is True
    assert told.json["predictions"] > 200
    assert told.json["code"] == ["clinic/defs/tumour/settings.py", "clinic/defs/tumour/train.py"]
    assert told.json["environment"] == []


def test_what_it_reads_beside_the_record_is_told(warm: Any, recorded: Clinic, tmp_path: Path) -> None:
    (notes := tmp_path / "notes.txt").write_text("not there when it was trained")
    ended = reproduced(warm, recorded, cwd=tmp_path)
    assert ended.code == 0, ended.out + ended.err
    assert "identical: " in ended.out
    assert f"warning: it read {notes}, which is not in the record" in " ".join(ended.out.split())
    assert reproduced(warm, recorded, "--json", cwd=tmp_path).json["unrecorded"] == [str(notes)]


def test_what_the_project_became_since_takes_no_part(warm: Any, recorded: Clinic) -> None:
    project = recorded.project
    write_code(
        project,
        train=_HANGS_ON_SETTINGS,
        settings="STRENGTH = 9.0\n",
        shape="raise SystemExit('new code ran')\n",
    )
    (project.folder / "tumours.csv").write_text("nothing,of,it\n")
    ended = reproduced(warm, recorded)
    assert ended.code == 0, ended.out + ended.err
    assert "identical: " in ended.out


def test_a_model_that_comes_out_otherwise_elsewhere_is_told_with_where_it_differs(
    warm: Any, clinic: Clinic
) -> None:
    write_code(clinic.project, train=_HANGS_ON_SETTINGS)
    launched = clinic.run(CLINIC_STRENGTH="0.5")
    assert launched.success, launched.failures
    ended = reproduced(warm, clinic)
    assert ended.code == 1, ended.out + ended.err
    said = r"different: \d+ of \d+ predictions, the first for row \d+ of the hold-out: .+ then, .+ now; "
    assert re.search(said, ended.out), ended.out
    told = reproduced(warm, clinic, "--json")
    assert told.code == 1
    difference = told.json["difference"]
    assert difference["recorded"] != difference["found"]
    assert 0 < difference["largest"] <= 1


def test_an_altered_snapshot_is_not_trained_on(warm: Any, recorded: Clinic) -> None:
    import pandas as pd

    file = kept(recorded, "snapshots")
    rows = pd.read_parquet(file)
    rows.loc[0, "mean_texture"] += 1
    file.chmod(0o644)
    rows.to_parquet(file, index=False)
    ended = reproduced(warm, recorded)
    assert ended.code == 2
    assert ended.err == f"mlops-assets: the snapshot {file} was altered after it was written\n"


def test_a_snapshot_that_is_gone_is_told_with_how_long_it_is_kept(warm: Any, recorded: Clinic) -> None:
    (file := kept(recorded, "snapshots")).unlink()
    ended = reproduced(warm, recorded)
    assert ended.code == 2
    said = rf"mlops-assets: the snapshot {file} is gone; the policy has it kept until \d{{4}}-\d\d-\d\d\n"
    assert re.fullmatch(said, ended.err), ended.err


def test_a_feature_table_that_is_gone_is_computed_anew(warm: Any, recorded: Clinic) -> None:
    kept(recorded, "features").unlink()
    ended = reproduced(warm, recorded)
    assert ended.code == 0, ended.out + ended.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["tumour", "7"], "tumour has no version 7; it has 1"),
        (["tumor", "1"], "tumor has no version 1; it has none"),
    ],
    ids=" ".join,
)
def test_a_version_that_is_not_there(
    argv: list[str], said: str, warm: Any, project: TumourProject, champion_home: Path
) -> None:
    ended = warm.cli("reproduce", *argv, cwd=project.root, home=champion_home)
    assert (ended.code, ended.err) == (2, f"mlops-assets: {said}\n")
