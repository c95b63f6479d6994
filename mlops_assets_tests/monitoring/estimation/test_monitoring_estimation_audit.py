"""Audits tell whether estimates are to be believed, and find what estimates cannot see."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import DataError
from mlops_assets.evaluation.metrics import measure
from mlops_assets.monitoring.estimation.audit import ALPHA, AuditedWindow, audit, judge_coverage
from mlops_assets.monitoring.estimation.estimate import Estimate
from mlops_assets.monitoring.estimation.estimator import fit_estimator
from mlops_assets_tests.monitoring.estimation.worlds import binary_rows

BINARY: Any = "binary_classification"
# An error of 1 about 0.5, with the reach of the normal distribution.
USUAL = Estimate("r2", 0.5, -1.46, 1.0, 0.95, 1.0, 0.0, 0.0, 1e9, 1000.0)


def series(kept: str) -> list[AuditedWindow]:
    """Return audited windows, one a letter: ``+`` is held, others are missed high or low."""
    return [audit(USUAL, {"+": 0.4, "h": 4.0, "l": -4.0}[each]) for each in kept]


def test_a_promise_that_is_kept_is_called_broken_as_seldom_as_stated() -> None:
    generator = np.random.default_rng(0)
    called = 0
    for _ in range(400):
        missed = generator.random(60) < 0.05
        called += (
            judge_coverage(series("".join("h" if each else "+" for each in missed))).verdict
            == "untrustworthy"
        )
    # The bound is on all 60 looks together; of 400 series four are allowed on average.
    assert called <= 400 * ALPHA + 6


@pytest.mark.parametrize(
    ("kept", "verdict"),
    [
        ("", "not enough windows"),
        ("+" * 12, "not enough windows"),
        ("+" * 13, "trustworthy"),
        ("+" * 40 + "h", "trustworthy"),
        ("h", "not enough windows"),
        ("hh", "not enough windows"),
        ("hhh", "untrustworthy"),
        ("+h" * 5, "untrustworthy"),
        ("+" * 40 + "h" * 3, "trustworthy"),
        ("+" * 40 + "h" * 5, "untrustworthy"),  # right for long and wrong from then on
        ("hhh" + "+" * 100, "untrustworthy"),  # for good
    ],
)
def test_verdicts(kept: str, verdict: str) -> None:
    found = judge_coverage(series(kept))
    assert found.verdict == verdict
    assert (found.windows, found.kept) == (len(kept), kept.count("+"))


@given(st.text("+h", max_size=60), st.integers(1, 30))
def test_windows_that_are_held_break_no_promise_and_mend_none(kept: str, more: int) -> None:
    was, then = (judge_coverage(series(each)).verdict for each in (kept, kept + more * "+"))
    assert (was == "untrustworthy") == (then == "untrustworthy")


def test_reasons_say_what_was_found_in_a_sentence() -> None:
    reason = judge_coverage(series("lll")).reason
    assert reason.startswith(
        "0 of 3 intervals held what was measured, not the 95% that were promised; r2 was"
    )
    assert (
        "lower than estimated each time, by 4.5 on average: what comes of like outputs is no longer" in reason
    )
    assert "now higher and now lower than estimated" in judge_coverage(series("lhl")).reason
    wanting = "9 of 9 intervals held what was measured; 4 more that do would tell"
    assert judge_coverage(series("+" * 9)).reason == wanting
    assert "more than 70% for sure" in judge_coverage(series("+" * 20)).reason


def test_a_stricter_promise_is_broken_sooner() -> None:
    kept = series("+" * 13 + "hhh")
    assert judge_coverage(kept, 0.8).verdict == "trustworthy"
    assert judge_coverage(kept, 0.99).verdict == "untrustworthy"


def test_a_figure_that_is_none_is_not_audited() -> None:
    with pytest.raises(DataError, match="r2 is not defined on the labels"):
        audit(USUAL, float("nan"))


def audited(generator: Any, **windows: Any) -> dict[str, list[AuditedWindow]]:
    """Return what twelve windows come to, the first four of which are like the hold-out."""
    holdout = binary_rows(generator, 4_000, sureness=1.5)
    estimator = fit_estimator(BINARY, holdout.outputs, holdout.labels, holdout.days)
    found: dict[str, list[AuditedWindow]] = {}
    for number in range(12):
        rows = binary_rows(generator, 2_000, sureness=1.5, **(windows if number >= 4 else {}))
        for metric, estimate in estimator.estimate(rows.outputs, block_rows=rows.per_day).items():
            found.setdefault(metric, []).append(audit(estimate, measure(metric, rows.labels, rows.outputs)))
    return found


@pytest.mark.parametrize("concept", [0.4, -1.0, 2.0])
def test_that_outputs_mean_something_else_now_is_seen_by_audits_and_by_nothing_else(concept: float) -> None:
    generator = np.random.default_rng(1)
    changed = audited(generator, concept=concept)["roc_auc"]
    estimates = [window.estimate.value for window in changed]
    # Outputs are as ever, so the estimate is.
    assert max(estimates) - min(estimates) < 0.03
    assert judge_coverage(changed[:4]).verdict == "not enough windows"
    found = judge_coverage(changed)
    assert found.verdict == "untrustworthy"
    assert f"{'higher' if concept > 1 else 'lower'} than estimated each time" in found.reason


def test_that_other_rows_are_served_does_not_make_estimates_wrong() -> None:
    moved = audited(np.random.default_rng(2), level=0.3)
    for metric, windows in moved.items():
        assert judge_coverage(windows).verdict != "untrustworthy", metric
        assert sum(window.kept for window in windows) >= 10, metric
    # Although what is measured is another figure than in the hold-out.
    before, after = (
        np.mean([w.measured for w in moved["accuracy"][part]]) for part in (slice(4), slice(4, None))
    )
    assert abs(after - before) > 0.03
