"""A model that was trained elsewhere takes the same road as every other, and its file is kept with it."""

from typing import Any

import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from mlops_assets_tests.lifecycles import Clinic

FEATURES = ["mean_texture", "mean_smoothness", "mean_symmetry"]


@pytest.fixture
def from_elsewhere(clinic: Clinic) -> Clinic:
    """A clinic whose spec names a file, of a model that knows the first fortnight."""
    project = clinic.project
    rows = pd.read_csv(project.folder / "tumours.csv").head(300)
    model = LogisticRegression(max_iter=1000).fit(rows[FEATURES].astype("float32"), rows["benign"])
    skops.io.dump(model, project.folder / "elsewhere.skops")
    project.write_spec(training={"estimator": None, "params": {}, "model_file": "elsewhere.skops"})
    return clinic


def test_it_is_judged_served_and_made_again_from_the_record(warm: Any, from_elsewhere: Clinic) -> None:
    launched = from_elsewhere.run()
    assert launched.success, launched.failures
    assert from_elsewhere.aliases == {"champion": "1"}
    (from_elsewhere.project.folder / "elsewhere.skops").unlink()
    again = warm.cli("reproduce", "tumour", "1", cwd=from_elsewhere.project.root, home=from_elsewhere.root)
    assert again.code == 0, again.out + again.err
    assert "identical: " in again.out


def test_a_file_that_is_not_there_is_a_problem_of_the_spec(warm: Any, from_elsewhere: Clinic) -> None:
    project = from_elsewhere.project
    project.write_spec(training={"estimator": None, "params": {"C": 2}, "model_file": "elsewhere.skops"})
    checked = warm.cli("check", cwd=project.root, home=from_elsewhere.root)
    assert checked.code == 2
    assert "so it takes no params" in checked.err
    project.write_spec(training={"estimator": None, "params": {}, "model_file": "other.onnx"})
    checked = warm.cli("check", cwd=project.root, home=from_elsewhere.root)
    assert checked.code == 2
    assert "training.model_file: other.onnx does not exist" in checked.err
