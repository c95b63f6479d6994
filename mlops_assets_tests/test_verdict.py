"""The ledger of verdicts: what is not there, or cannot be read, vouches for nothing."""

import math
from pathlib import Path

from mlops_assets.verdict import Verdict, VerdictLedger

SUBJECT = "ab" * 32


def verdict(gate: str, passed: bool) -> Verdict:
    return Verdict(gate=gate, passed=passed, summary=f"{gate} says so", measured={"auc": 0.5})


def test_only_a_verdict_that_passed_on_the_very_subject_vouches_for_it(tmp_path: Path) -> None:
    ledger = VerdictLedger(tmp_path)
    ledger.record("m", SUBJECT, verdict("one", True))
    ledger.record("m", SUBJECT, verdict("two", False))
    assert ledger.missing_or_failed("m", {"one": SUBJECT}) == []
    assert ledger.missing_or_failed("m", {"one": "cd" * 32, "two": SUBJECT, "three": SUBJECT}) == [
        "gate one has not judged cdcdcdcdcdcd",
        "gate two refused abababababab: two says so",
        "gate three has not judged abababababab",
    ]
    assert ledger.missing_or_failed("other", {"one": SUBJECT}) == ["gate one has not judged abababababab"]


def test_a_later_verdict_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    ledger = VerdictLedger(tmp_path)
    for passed in (False, True):
        ledger.record("m", SUBJECT, verdict("one", passed))
    assert ledger.missing_or_failed("m", {"one": SUBJECT}) == []


def test_a_spoilt_or_renamed_file_vouches_for_nothing(tmp_path: Path) -> None:
    ledger = VerdictLedger(tmp_path)
    ledger.record("m", SUBJECT, verdict("one", True))
    file = tmp_path / "m" / SUBJECT / "one.json"
    file.rename(file.with_name("two.json"))
    file.write_text('{"gate": "one", "passed"')
    assert len(ledger.missing_or_failed("m", {"one": SUBJECT, "two": SUBJECT})) == 2


def test_figures_that_are_no_numbers_survive_the_disk(tmp_path: Path) -> None:
    ledger = VerdictLedger(tmp_path)
    written = Verdict(gate="one", passed=False, summary="", measured={"auc": math.nan, "shift": math.inf})
    ledger.record("m", SUBJECT, written)
    found = ledger.find("m", SUBJECT, "one")
    assert found is not None
    assert math.isnan(float(found.measured["auc"]))
    assert math.isinf(float(found.measured["shift"]))
