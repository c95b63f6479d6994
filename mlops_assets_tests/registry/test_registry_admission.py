"""Only a candidate that every gate vouches for, against the champion of today, goes on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.registry.admission import REQUIRED, objections
from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets.registry.port import ModelVersion
from mlops_assets.registry.promotion import promote
from mlops_assets.verdict import Verdict, VerdictLedger

Register = Callable[..., ModelVersion]
DATA, FEATURES, CANDIDATE = "d" * 64, "f" * 64, "c" * 64
SUBJECTS = dict(zip(REQUIRED, (DATA, FEATURES, CANDIDATE, CANDIDATE), strict=True))


@pytest.fixture
def ledger(tmp_path: Path, model: str) -> VerdictLedger:
    """A ledger in which every gate vouches, and no champion was compared with."""
    made = VerdictLedger(tmp_path)
    for gate in REQUIRED:
        judge(made, model, gate)
    return made


def judge(ledger: VerdictLedger, model: str, gate: str, passed: bool = True, **measured: Any) -> None:
    measured = {"champion": None, **measured} if gate == "champion_comparison" else measured
    verdict = Verdict(gate=gate, passed=passed, summary="it says so", measured=measured)
    ledger.record(model, SUBJECTS[gate], verdict)


def told(ledger: VerdictLedger, registry: MlflowRegistry, model: str, **changes: str) -> list[str]:
    subjects = {"data": DATA, "features": FEATURES, "candidate": CANDIDATE, **changes}
    return objections(ledger, registry, model, **subjects)


def test_a_candidate_that_all_gates_vouch_for_goes_on(
    ledger: VerdictLedger, registry: MlflowRegistry, model: str
) -> None:
    assert told(ledger, registry, model) == []


@pytest.mark.parametrize("gate", REQUIRED)
def test_one_gate_that_failed_or_never_judged_is_enough(
    ledger: VerdictLedger, registry: MlflowRegistry, model: str, gate: str, tmp_path: Path
) -> None:
    judge(ledger, model, gate, passed=False)
    (objection,) = told(ledger, registry, model)
    assert objection == f"gate {gate} refused {SUBJECTS[gate][:12]}: it says so"
    (tmp_path / model / SUBJECTS[gate] / f"{gate}.json").unlink()
    (objection,) = told(ledger, registry, model)
    assert objection == f"gate {gate} has not judged {SUBJECTS[gate][:12]}"


@pytest.mark.parametrize(("what", "gates"), [("data", 1), ("features", 1), ("candidate", 2)])
def test_verdicts_on_something_else_do_not_count(
    ledger: VerdictLedger, registry: MlflowRegistry, model: str, what: str, gates: int
) -> None:
    assert len(told(ledger, registry, model, **{what: "0" * 64})) == gates


def test_a_comparison_with_a_champion_of_yesterday_does_not_count(
    ledger: VerdictLedger, registry: MlflowRegistry, register: Register, model: str
) -> None:
    register("1" * 64), register("2" * 64)
    promote(registry, model, "1")
    (objection,) = told(ledger, registry, model)
    assert objection.endswith("compared with champion none, but the champion is now 1; evaluate again")
    judge(ledger, model, "champion_comparison", champion="1")
    assert told(ledger, registry, model) == []
    promote(registry, model, "2")
    (objection,) = told(ledger, registry, model)
    assert objection.endswith("compared with champion 1, but the champion is now 2; evaluate again")


def test_a_champion_may_be_deployed_again(
    ledger: VerdictLedger, registry: MlflowRegistry, register: Register, model: str
) -> None:
    register(CANDIDATE)
    promote(registry, model, "1")
    assert told(ledger, registry, model) == []
