"""A packaged model is trained again from what was kept, by its own code alone, and compared bit by bit."""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlops_assets.data.features import FeatureView
from mlops_assets.errors import DataError, PackageError, TrainingError
from mlops_assets.governance.components import Component
from mlops_assets.governance.environment import Environment
from mlops_assets.governance.signatures import Signer
from mlops_assets.home import Home
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.training.package import PackagedModel
from mlops_assets.training.reproduction import (
    Reproduction,
    VersionChange,
    first_difference,
    reproduce,
    version_changes,
)

MakeSpec = Callable[..., ModelSpec]
MakeRows = Callable[..., pd.DataFrame]
Keep = Callable[..., PackagedModel]

# What the model of most tests is: as simple as can be, written by a team.
_PLAIN = """\
from sklearn.linear_model import LogisticRegression

def train(features, target, params, seed):
    return LogisticRegression().fit(features, target)
"""
_RANDOM_FEATURES = """\
import numpy as np

def compute(rows):
    return rows.assign(c=np.random.default_rng().normal(size=len(rows)))
"""


def again(package: PackagedModel, spec: ModelSpec, home: Home) -> Reproduction:
    return reproduce(package, spec.training.model_dump(mode="json"), home, datetime(2031, 5, 4))


@pytest.fixture
def by_team(make_spec: MakeSpec) -> ModelSpec:
    """A model that the function ``refit_team.train:train`` trains."""
    return make_spec(training={"estimator": None, "function": "refit_team.train:train"})


@pytest.mark.parametrize(
    ("task", "estimator", "params"),
    [
        ("binary_classification", "sklearn.ensemble.HistGradientBoostingClassifier", {"max_iter": 5}),
        ("multiclass_classification", "sklearn.ensemble.RandomForestClassifier", {"n_estimators": 5}),
        ("regression", "sklearn.linear_model.LinearRegression", {}),
    ],
)
def test_the_same_rows_and_parameters_give_the_same_model(
    task: str,
    estimator: str,
    params: dict[str, Any],
    make_spec: MakeSpec,
    make_rows: MakeRows,
    keep: Keep,
    home: Home,
) -> None:
    spec = make_spec(task, training={"estimator": estimator, "params": params, "seed": 7})
    rows = make_rows(task=task)
    found = again(keep(spec, rows, installed=Environment.present()), spec, home)
    assert found == Reproduction(160, None, features_agree=True, environment=(), code=())
    assert found.identical


def test_what_another_seed_makes_differs_and_where_is_told(
    make_spec: MakeSpec, make_rows: MakeRows, keep: Keep, home: Home
) -> None:
    forest = {"estimator": "sklearn.ensemble.RandomForestClassifier", "params": {"n_estimators": 5}}
    package = keep(make_spec(training=forest), make_rows())
    found = again(package, make_spec(training={**forest, "seed": 1}), home)
    assert not found.identical
    assert found.difference is not None
    assert found.difference.recorded != found.difference.found
    assert 0 < found.difference.rows <= found.predictions


def test_a_change_of_what_is_installed_is_told_beside_the_result(
    make_spec: MakeSpec, make_rows: MakeRows, keep: Keep, home: Home
) -> None:
    present = Environment.present()
    others = (found for found in present.components if found.name != "scikit-learn")
    components = (*others, Component("scikit-learn", "0.1"), Component("gone_since", "2"))
    then = Environment(python=present.python, components=components)
    found = again(keep(make_spec(), make_rows(), installed=then), make_spec(), home)
    assert found.identical
    assert found.environment == (
        VersionChange("gone_since", "2", None),
        VersionChange("scikit-learn", "0.1", present.versions["scikit-learn"]),
    )


def test_recorded_code_runs_and_what_bears_its_name_now_does_not(
    by_team: ModelSpec,
    make_rows: MakeRows,
    keep: Keep,
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sklearn.linear_model import LogisticRegression

    (present := tmp_path / "now" / "refit_team").mkdir(parents=True)
    (present / "__init__.py").write_text("raise SystemExit('the present project ran')\n")
    monkeypatch.setenv("PYTHONPATH", str(present.parent), prepend=":")
    rows = make_rows()
    older = rows["t"] < rows["t"].quantile(0.6)
    features = FeatureView(by_team.data.features).compute(rows)[older].fillna(0.0)
    estimator = LogisticRegression().fit(features, rows.loc[older, "y"])
    package = keep(by_team, rows, estimator=estimator, code={"refit_team/train.py": _PLAIN.encode()})
    found = again(package, by_team, home)
    assert found.identical
    assert found.code == ("refit_team/train.py",)
    assert found.environment is None


def test_a_module_that_was_not_recorded_is_not_borrowed_from_what_is_there_now(
    make_spec: MakeSpec,
    make_rows: MakeRows,
    keep: Keep,
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "refit_extra.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    code = {"refit_team/train.py": _PLAIN.replace("    return", "    __import__('refit_extra')\n    return")}
    spec, package = trained_by(code, "refit_team.train:train", make_spec, make_rows(), keep)
    with pytest.raises(TrainingError, match="it loads refit_extra, which the package does not hold"):
        again(package, spec, home)


def trained_by(code: Mapping[str, str], function: str, make_spec: MakeSpec, rows: Any, keep: Keep) -> Any:
    """Return spec and package of a model that other code trained than is recorded."""
    from sklearn.dummy import DummyClassifier

    spec = make_spec(training={"estimator": None, "function": function})
    estimator = DummyClassifier().fit(rows[["a", "b"]], rows["y"])
    return spec, keep(
        spec, rows, estimator=estimator, code={path: text.encode() for path, text in code.items()}
    )


def test_code_of_a_model_that_lies_beside_our_own_runs_as_recorded(
    make_spec: MakeSpec, make_rows: MakeRows, keep: Keep, home: Home
) -> None:
    code = {
        "mlops_assets/defs/gone_model/train.py": _PLAIN.replace("def", "from .more import *\ndef", 1),
        "mlops_assets/defs/gone_model/more.py": "from mlops_assets.errors import MlopsError\n",
    }
    function = "mlops_assets.defs.gone_model.train:train"
    spec, package = trained_by(code, function, make_spec, make_rows(), keep)
    found = again(package, spec, home)
    assert found.difference is not None  # so it was trained, and is no constant


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            {},
            "cannot import refit_team.train: No module named 'refit_team'; the package holds no code of the",
        ),
        (
            {"refit_team/train.py": "import os\ndef train(*_): os._exit(3)\n"},
            "ended with exit code 3: without",
        ),
        (
            {"refit_team/train.py": "def train(*_):\n    from refit_team import lost\n"},
            r"refit_team.train:train failed: ImportError: cannot import name 'lost' from 'refit_team'",
        ),
        ({"refit_team/train.py": "def train(*_): raise ValueError('no')\n"}, "failed: ValueError: no"),
    ],
    ids=["no code", "killed", "a part of the code is missing", "it fails"],
)
def test_what_cannot_be_trained_again_says_why(
    code: Mapping[str, str],
    said: str,
    make_spec: MakeSpec,
    make_rows: MakeRows,
    keep: Keep,
    home: Home,
) -> None:
    spec, package = trained_by(code, "refit_team.train:train", make_spec, make_rows(), keep)
    with pytest.raises(TrainingError, match=f"training it again failed: .*{said}"):
        again(package, spec, home)


def test_features_that_come_out_otherwise_are_a_difference_although_the_model_is_the_same(
    make_spec: MakeSpec, make_rows: MakeRows, keep: Keep, home: Home
) -> None:
    package = keep(make_spec(), make_rows(), features=_RANDOM_FEATURES)
    found = again(package, make_spec(), home)
    assert found.difference is None
    assert not found.features_agree
    assert not found.identical
    table = home.features("small", package.manifest.lineage["features"])
    table.unlink()
    with pytest.raises(
        DataError, match=f"the feature table {table} is gone; the policy has it kept until 2031-05-04"
    ):
        again(package, make_spec(), home)


def test_a_package_of_before_these_records_were_kept_opens_and_says_what_is_missing(
    make_spec: MakeSpec, make_rows: MakeRows, keep: Keep, home: Home, signer: Signer
) -> None:
    package = PackagedModel.open(keep(make_spec(), make_rows(), lineage=False).folder, signer.verifier)
    assert (package.environment, package.code) == (None, {})
    assert len(package.predict(package.reference())) == 160
    with pytest.raises(
        PackageError, match="the package of small does not tell 'trained_until' of its training"
    ):
        again(package, make_spec(), home)
    with pytest.raises(
        PackageError, match="the recorded spec of small is of another form: sneed: Extra inputs"
    ):
        reproduce(package, {"estimator": "x", "sneed": 1}, home)


def test_what_is_recorded_is_signed(
    make_spec: MakeSpec, make_rows: MakeRows, keep: Keep, signer: Signer
) -> None:
    code = {"refit_team/train.py": _PLAIN.encode(), "refit_team/deep/more.py": b""}
    environment = Environment(python="3", components=(Component("numpy", "2", "BSD-3-Clause"),))
    written = keep(make_spec(), make_rows(), code=code, installed=environment)
    opened = PackagedModel.open(written.folder, signer.verifier)
    assert opened.environment == environment
    assert opened.code == code
    (written.folder / "code" / "refit_team" / "train.py").write_text("raise SystemExit\n")
    with pytest.raises(PackageError, match=r"code/refit_team/train\.py was altered after signing"):
        PackagedModel.open(written.folder, signer.verifier)


_floats = st.floats(width=64)
_pairs = st.integers(1, 3).flatmap(
    lambda k: st.integers(1, 20).flatmap(
        lambda n: st.tuples(*[arrays("float64", (n, k), elements=_floats)] * 2, st.integers(0, n * k - 1))
    )
)


@given(_pairs)
def test_predictions_are_the_same_only_if_every_bit_is(pair: Any) -> None:
    one, other, _ = pair
    assert first_difference(one, one.copy()) is None
    found = first_difference(one, other)
    assert (found is None) == (one.tobytes() == other.tobytes())
    if found is not None:
        assert one[: found.row].tobytes() == other[: found.row].tobytes()
        assert np.array(found.recorded).tobytes() == one[found.row].tobytes()
        assert np.array(found.found).tobytes() == other[found.row].tobytes()
        assert found.largest is None or 0 <= found.largest < math.inf


@given(_pairs)
def test_the_last_bit_of_one_number_is_a_difference(pair: Any) -> None:
    one, _, place = pair
    other = one.copy()
    other.view("int64").flat[place] ^= 1
    found = first_difference(one, other)
    assert found is not None
    assert (found.row, found.rows) == (place // one.shape[1], 1)


def test_predictions_for_other_classes_differ_without_measure() -> None:
    found = first_difference(np.zeros((4, 2)), np.zeros((4, 3)))
    assert found is not None
    assert (found.row, found.rows, found.largest) == (0, 4, None)


_versions = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["1", "2"]))


@given(_versions, _versions)
def test_every_change_of_what_is_installed_is_named_and_nothing_else(
    then: dict[str, str], now: dict[str, str]
) -> None:
    changes = list(version_changes(then, now))
    applied = dict(then)
    for change in changes:
        assert change.recorded != change.present
        assert applied.pop(change.name, None) == change.recorded
        if change.present is not None:
            applied[change.name] = change.present
    assert applied == now
    names = [change.name for change in changes]
    assert names == sorted(set(names))
