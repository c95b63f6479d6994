"""What predictions cost: the gate's processor time at the policy's price, and what the spec adds."""

import pytest

from mlops_assets.monitoring.service.cost import ProcessorTime, cost_of
from mlops_assets.specs.monitoring_spec import ExternalCost

PROCESSOR = ProcessorTime(single=0.036, in_batch=0.0036)
EXTERNAL = (ExternalCost(name="bureau_score", per_1000=2.5),)


def test_a_thousand_predictions_cost_their_seconds_and_what_was_bought() -> None:
    found = cost_of(1000, 0, PROCESSOR, 0.05, EXTERNAL, busy_seconds=72.0)
    assert found.parts == {"processor": pytest.approx(36 / 3600 * 0.05), "bureau_score": 2.5}
    assert found.per_1000 == pytest.approx(2.5005)
    assert found.busy_per_1000 == pytest.approx(0.001)
    assert "bureau_score 2.5" in found.told


def test_rows_of_files_cost_what_they_do_in_batches() -> None:
    found = cost_of(500, 500, PROCESSOR, 0.05)
    assert found.per_1000 == pytest.approx((18 + 1.8) / 3600 * 0.05)
    assert found.rows == 1000
    assert found.busy_per_1000 is None


def test_what_was_not_measured_is_not_made_up() -> None:
    found = cost_of(100, 0, None, 0.05, EXTERNAL, busy_seconds=10.0)
    assert found.per_1000 is None
    assert found.busy_per_1000 == pytest.approx(100 / 3600 * 0.05)
    assert "did not measure" in found.told
    assert cost_of(0, 0, PROCESSOR, 0.05).told == "nothing was predicted"
