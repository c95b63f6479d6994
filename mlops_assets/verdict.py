"""A gate's verdict: what was measured, what the limit is, what offended."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_assets.home import write_atomically

Finding = dict[str, Any]


class Verdict(BaseModel):
    """What one gate found about one subject.

    Attributes:
        gate: Name of the gate.
        passed: Whether the subject may go on.
        summary: One sentence for a person.
        measured: Figures the gate measured, by name.
        limits: The limits they were held against, by name.
        findings: The offending rows, columns or groups, one flat record each.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    gate: str
    passed: bool
    summary: str
    measured: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    findings: list[Finding] = []


class VerdictLedger:
    """Verdicts on disk, filed by gate and by the digest of what was judged.

    Registration reads them here, not in Dagster's event log, where a check can be skipped by a
    run that does not select it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def record(self, model: str, subject: str, verdict: Verdict) -> None:
        """File a verdict; a later one on the same subject takes its place."""
        write_atomically(self._file(model, subject, verdict.gate), verdict.model_dump_json().encode())

    def find(self, model: str, subject: str, gate: str) -> Verdict | None:
        """Return the verdict of ``gate`` on ``subject``, or None if it has not judged it.

        What cannot be read vouches for nothing, and neither does another gate's verdict.
        """
        try:
            verdict = Verdict.model_validate_json(self._file(model, subject, gate).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        return verdict if verdict.gate == gate else None

    def missing_or_failed(self, model: str, required: dict[str, str]) -> list[str]:
        """Return a sentence for each required gate that does not vouch for its subject.

        Args:
            model: Model name.
            required: The subject's digest by gate.
        """
        objections = []
        for gate, subject in required.items():
            verdict = self.find(model, subject, gate)
            if verdict is None:
                objections.append(f"gate {gate} has not judged {subject[:12]}")
            elif not verdict.passed:
                objections.append(f"gate {gate} refused {subject[:12]}: {verdict.summary}")
        return objections

    def _file(self, model: str, subject: str, gate: str) -> Path:
        return self._folder / model / subject / f"{gate}.json"
