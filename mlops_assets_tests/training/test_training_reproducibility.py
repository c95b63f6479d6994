"""A second training from the record gives the same predictions, or the gate says where they part."""

import importlib
import os
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import pytest

from mlops_assets.data.snapshots import write_snapshot
from mlops_assets.home import Home
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.references import project_code
from mlops_assets.training.package import PackagedModel
from mlops_assets.training.reproducibility import measure_reproducibility
from mlops_assets.verdict import Verdict, judge
from mlops_assets_tests.vouching import rules_of

MakeSpec = Callable[..., ModelSpec]
MakeRows = Callable[..., pd.DataFrame]
Keep = Callable[..., PackagedModel]
Judged = Callable[..., Verdict]

RULES = rules_of().gates.reproducibility
TRAINERS = """
import numpy as np
from sklearn.linear_model import SGDClassifier

calls = []

def unseeded(features, target, params, seed):
    drawn = np.random.default_rng().integers(2**31)
    return SGDClassifier(loss="log_loss", random_state=drawn).fit(features, target)

def seeded(features, target, params, seed):
    return SGDClassifier(loss="log_loss", random_state=seed).fit(features, target)

def by_what_ran_before(features, target, params, seed):
    calls.append(seed)
    return SGDClassifier(loss="log_loss", random_state=len(calls)).fit(features, target)

def by_a_file_beside_it(features, target, params, seed):
    seed = int((__import__("pathlib").Path(__file__).parent / "seed.txt").read_text())
    return SGDClassifier(loss="log_loss", random_state=seed).fit(features, target)
"""

READERS = """
import socket
import sqlite3
import tempfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

def after(read):
    def train(features, target, params, seed):
        read(params)
        return HistGradientBoostingClassifier(max_iter=2, random_state=seed).fit(features, target)
    return train

def ask(params):
    with socket.create_connection(("127.0.0.1", params["port"])):
        pass

def ask_database(params):
    with sqlite3.connect(params["file"]) as database:
        database.execute("select 1").fetchall()

def make_files(params):
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "rows.csv"
        pd.DataFrame({"a": [1.0]}).to_csv(made, index=False)
        made.replace(renamed := Path(folder) / "renamed.csv")
        pd.read_csv(renamed)
        with sqlite3.connect(Path(folder) / "rows.db") as database:
            database.execute("create table rows (a)")
        with sqlite3.connect(Path(folder) / "rows.db") as database:
            database.execute("select a from rows").fetchall()
    work = Path(params["work"])
    work.write_text("its own")
    work.read_text()
    work.unlink()

def use_what_is_installed(params):
    files("sklearn.datasets").joinpath("data/iris.csv").read_text()
    pd.Timestamp("2024-01-01", tz="Europe/Berlin")
    import matplotlib.font_manager

def in_processes(features, target, params, seed):
    from joblib import Parallel, delayed
    from sklearn.ensemble import RandomForestClassifier
    # Large enough to be handed over in a file that is mapped into memory.
    Parallel(n_jobs=2, max_nbytes=1000)(delayed(np.sum)(np.ones(1000) * i) for i in range(2))
    return RandomForestClassifier(n_estimators=5, n_jobs=2, random_state=seed).fit(features, target)

by_parquet = after(lambda params: pd.read_parquet(params["file"]))
by_csv = after(lambda params: pd.read_csv(params["file"]))
by_open = after(lambda params: open(params["file"], "rb").read())
by_relative_path = after(lambda params: Path(params["file"]).read_bytes())
by_database = after(ask_database)
by_database_uri = after(lambda params: sqlite3.connect(f"file:{params['file']}?mode=ro", uri=True).close())
by_network = after(ask)
by_own_files = after(make_files)
by_what_is_installed = after(use_what_is_installed)
"""
UNRECORDED = "inputs that are not in the record"


@pytest.fixture
def judged(
    make_spec: MakeSpec,
    make_rows: MakeRows,
    keep: Keep,
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Judged:
    (tmp_path / "trainers_of_a_team.py").write_text(TRAINERS + READERS)
    (tmp_path / "seed.txt").write_text("7")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "trainers_of_a_team", raising=False)

    def judge_it(function: str, recorded: Mapping[str, Any] = MappingProxyType({}), **params: Any) -> Verdict:
        trained = {"estimator": None, "function": f"trainers_of_a_team:{function}", "params": params}
        spec = make_spec(training=trained)
        package = keep(spec, make_rows(), code=project_code(spec.training.trainer))
        training = {**spec.training.model_dump(mode="json"), **recorded}
        return judge(measure_reproducibility(package, training, home), RULES)

    return judge_it


def test_a_trainer_that_uses_the_seed_it_is_given_passes(judged: Judged) -> None:
    verdict = judged("seeded")
    assert verdict.passed
    assert verdict.summary == "trained again, 160 of 160 predictions are the same"


@pytest.mark.parametrize("function", ["unseeded", "by_what_ran_before"])
def test_a_trainer_that_would_make_another_model_is_found_out(judged: Judged, function: str) -> None:
    if function == "by_what_ran_before":
        importlib.import_module("trainers_of_a_team").calls.append("another model of the same process")
    verdict = judged(function)
    assert not verdict.passed
    assert verdict.summary.startswith("largest difference of a prediction ")
    assert {"row", "first", "again"} == set(verdict.measurement.findings[0])


def test_a_trainer_that_reads_what_was_not_recorded_is_found_out(judged: Judged) -> None:
    verdict = judged("by_a_file_beside_it")
    assert not verdict.passed
    assert "training it again failed" in verdict.summary
    assert "seed.txt" in verdict.summary
    assert f"{UNRECORDED}: the second training gave no answer" in verdict.summary


def test_a_model_that_was_trained_otherwise_than_its_spec_says_is_found_out(judged: Judged) -> None:
    assert not judged("seeded", {"seed": 1}).passed


def test_features_that_come_out_otherwise_the_second_time_are_found_out(
    make_spec: MakeSpec, make_rows: MakeRows, keep: Keep, home: Home
) -> None:
    spec = make_spec()
    drawn = "import numpy as np\ndef compute(rows):\n    return rows.assign(c=np.random.rand(len(rows)))\n"
    package = keep(spec, make_rows(), features=drawn)
    verdict = judge(measure_reproducibility(package, spec.training.model_dump(mode="json"), home), RULES)
    assert not verdict.passed
    assert "the features computed a second time from the same rows are others" in verdict.summary


def read_by(verdict: Verdict) -> list[str]:
    """Return what a verdict tells of inputs that are not in the record."""
    (figure,) = (f for f in verdict.measurement.figures if f.limit == "max_unrecorded")
    told = [finding["input"] for finding in verdict.measurement.findings if "input" in finding]
    assert figure.value == len(told)
    return told


def refused_for(verdict: Verdict, *read: str) -> None:
    """Assert that a training is refused for what it read, although it gives the same model again."""
    assert read_by(verdict) == list(read)
    assert not verdict.passed
    assert verdict.summary == f"{UNRECORDED} {len(read)}, {', '.join(read)} breaks ≤ 0"
    assert verdict.measurement.summary.startswith(
        "trained again, 160 of 160 predictions are the same; it read "
    )


@pytest.mark.parametrize(
    "function", ["by_parquet", "by_csv", "by_open", "by_relative_path", "by_database", "by_database_uri"]
)
def test_a_trainer_that_reads_the_source_itself_is_found_out(
    function: str, judged: Judged, make_rows: MakeRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "data" / f"rows of {function}"
    file.parent.mkdir()
    if function == "by_parquet":
        make_rows().to_parquet(file)
    elif "database" in function:
        with sqlite3.connect(file) as database:
            make_rows().to_sql("rows", database)
    else:
        make_rows().to_csv(file)
    monkeypatch.chdir(file.parent)
    refused_for(judged(function, file=file.name if function == "by_relative_path" else str(file)), str(file))


def test_a_trainer_that_reads_the_snapshot_itself_is_found_out(
    judged: Judged, home: Home, make_rows: MakeRows
) -> None:
    _, snapshot = write_snapshot(make_rows(), lambda digest: home.snapshot("small", digest))
    refused_for(judged("by_parquet", file=str(snapshot)), str(snapshot))


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="there is no memory that looks like a folder")
def test_a_trainer_that_reads_the_source_from_memory_is_found_out(
    judged: Judged, make_rows: MakeRows
) -> None:
    """It lies among the system's places, and anybody may put anything there."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm", suffix=".csv") as file:
        make_rows().to_csv(file.name)
        refused_for(judged("by_csv", file=file.name), file.name)


def test_a_trainer_that_asks_a_service_is_found_out(judged: Judged) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = service.getsockname()[1]
        refused_for(judged("by_network", port=port), f"127.0.0.1:{port}")


@pytest.mark.parametrize("function", ["in_processes", "by_own_files", "by_what_is_installed"])
def test_what_a_training_makes_or_has_installed_is_no_input(
    function: str, judged: Judged, tmp_path: Path
) -> None:
    verdict = judged(function, work=str(tmp_path / "work.txt"))
    assert read_by(verdict) == []
    assert verdict.passed


@pytest.mark.parametrize(
    ("estimator", "params"),
    [
        ("sklearn.linear_model.LogisticRegression", {}),
        ("sklearn.ensemble.RandomForestClassifier", {"n_estimators": 5, "n_jobs": 2}),
        ("sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 5}),
    ],
)
def test_an_estimator_takes_nothing_but_the_record(
    estimator: str, params: dict[str, Any], make_spec: MakeSpec, make_rows: MakeRows, keep: Keep, home: Home
) -> None:
    spec = make_spec(training={"estimator": estimator, "params": params})
    rows = make_rows().fillna(0.0)
    measured = measure_reproducibility(keep(spec, rows), spec.training.model_dump(mode="json"), home)
    verdict = judge(measured, RULES)
    assert read_by(verdict) == []
    assert verdict.passed


def test_evidence_of_before_inputs_were_watched_says_what_is_missing(judged: Judged) -> None:
    measured = judged("seeded").measurement
    older = tuple(figure for figure in measured.figures if figure.limit != "max_unrecorded")
    verdict = judge(measured.model_copy(update={"figures": older}), RULES)
    assert verdict.summary == "nothing was measured for max_unrecorded"
