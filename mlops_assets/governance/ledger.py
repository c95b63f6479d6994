"""The gates' records on disk, filed by what was judged, each signed when it is made.

Registration reads them here, not in Dagster's event log, where a check can be skipped by a run that does
not select it and posted by anyone through the web API.
"""

from pathlib import Path

from mlops_assets.errors import EvidenceError
from mlops_assets.governance.evidence import GateRecord
from mlops_assets.governance.signatures import Signer, Verifier
from mlops_assets.home import write_atomically


class Ledger:
    """Signed gate records of all models.

    Args:
        folder: Where they are.
        signer: The platform key.
    """

    def __init__(self, folder: Path, signer: Signer) -> None:
        self._folder, self._signer = folder, signer
        self._verifier: Verifier = signer.verifier

    def file(self, record: GateRecord) -> None:
        """File a record; a later one of the gate on the same subject takes its place."""
        content = record.sealed(self._signer).encode()
        write_atomically(self._path(record.model, record.subject, record.gate), content)

    def find(self, model: str, subject: str, gate: str) -> GateRecord | None:
        """Return the record of ``gate`` on ``subject``, or None if it has not judged it.

        Raises:
            EvidenceError: There is one that the platform did not sign, or that is about something else.
        """
        path = self._path(model, subject, gate)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            record = GateRecord.unsealed(content, self._verifier)
        except EvidenceError as error:
            raise EvidenceError(f"the record of gate {gate} on {subject[:12]} {error}") from error
        if (record.model, record.subject, record.gate) != (model, subject, gate):
            raise EvidenceError(f"the record of gate {gate} on {subject[:12]} is about something else")
        return record

    def _path(self, model: str, subject: str, gate: str) -> Path:
        return self._folder / model / subject / f"{gate}.json"
