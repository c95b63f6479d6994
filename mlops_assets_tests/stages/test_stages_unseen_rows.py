"""The rows that no training saw are counted where a rule asks for them, and the source is left alone else."""

from typing import Any

import pytest

from mlops_assets_tests.lifecycles import WATCHED, WEEK_LATER, Clinic, MakeClinic
from mlops_assets_tests.whole_processes import tumours

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("retraining", "counted"), [({"on_gain": 0.05}, True), ({"on_new_rows": 999}, True), ({}, False)]
)
def test_new_rows_are_counted_for_whoever_says_when_they_call_for_a_training(
    watched_clinic: Clinic, make_clinic: MakeClinic, retraining: dict[str, Any], counted: bool
) -> None:
    clinic = make_clinic(watched_clinic.root)
    clinic.project.write_spec(**WATCHED, retraining=retraining)
    later = [{**row, "measured_at": row["measured_at"].replace("2024-01", "2024-02")} for row in tumours()]
    new = [row for row in later if row["measured_at"] < WEEK_LATER]
    clinic.project.write_rows([*tumours(), *new])
    assert clinic.run("monitoring_report", as_of=WEEK_LATER).success
    (found,) = clinic.state.assessments("tumour")
    assert found.unseen_rows == (len(new) if counted else None)
