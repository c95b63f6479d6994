"""What a scoring leaves beside its output: an entry in the audit chain and, if asked, rows in the log."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from mlops_assets.actor import os_user
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.audit_entry import Entry
from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.prediction_ids import PredictionIds
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.records import BATCH, Answers
from mlops_assets.scoring.checks import Signature
from mlops_assets.scoring.job import Scored
from mlops_assets.scoring.outputs import ID_ROWS
from mlops_assets.serving.discretion import as_logged, entities_in, treatments_of
from mlops_assets.serving.proven import Proven
from mlops_assets.specs.data_spec import Column

if TYPE_CHECKING:
    import pyarrow as pa

ACTION = "score"


@dataclass(frozen=True)
class Records:
    """Keeps what is to be known of a scoring after it; see :meth:`keep`.

    Args:
        proven: The version that scores.
        audit: Where every scoring is entered.
        actor: Who asked for it; the user that runs this process if None.
        run: The Dagster run, if it is one.
        recorder: Writes the prediction log, if predictions are to be logged.
        log: Reads it.
    """

    proven: Proven
    audit: AuditChain
    actor: str | None = None
    run: str = ""
    recorder: Callable[[], Recorder] | None = None
    log: PredictionLog | None = None

    def keep(self, scored: Scored) -> None:
        """Log and enter a scoring whose output is about to appear; what is there already is left.

        Raises:
            StorageError: The log or the audit chain cannot be written; the next run does it.
        """
        if self.recorder is not None and self.log is not None:
            recorder = self.recorder()
            try:
                _log(scored, recorder, self.log)
            finally:
                recorder.close()
        if not self._is_entered(scored):
            self._enter(scored)

    def _is_entered(self, scored: Scored) -> bool:
        """Return whether an earlier run entered it, and was killed before the output appeared."""
        if not scored.resumed:
            return False
        entries = self.audit.newest_first([ACTION], self.proven.resident.model)
        return any(entry.detail.get("job") == scored.job for entry in entries)

    def _enter(self, scored: Scored) -> None:
        self.audit.append(
            ACTION,
            self.proven.resident.model,
            actor=self.actor or os_user(),
            reason=f"{scored.rows:,} rows of {scored.input}",
            **self.proven.named,
            input_digest=scored.input_digest,
            rows=scored.rows,
            output=str(scored.output),
            output_digest=scored.output_digest,
            form=scored.plan.form,
            ids_from=scored.plan.ids_from,
            ids_of=scored.columns.content,
            logged=self.recorder is not None,
            job=scored.job,
            run=self.run,
        )


@dataclass(frozen=True)
class BatchRow:
    """The row of a scored file that a prediction is of.

    Attributes:
        entry: The audit entry of the scoring.
        row: Its number, from 1.
    """

    entry: Entry
    row: int


def row_of(prediction_id: str, audit: AuditChain, ids: PredictionIds) -> BatchRow | None:
    """Return which row of which scored file a prediction is of, or None if of none that was entered.

    No list of ids is needed for that: an id is made from the time in it, and from what it is of.
    """
    base, _, place = prediction_id.partition("-")
    try:
        at, within = int(base[:14], 16), int(place or 0)
    except ValueError:
        return None
    for entry in audit.newest_first([ACTION]):
        block = at - _number(entry, "ids_from")
        row = block * ID_ROWS + within
        if block < 0 or not 0 <= within < ID_ROWS or row >= _number(entry, "rows"):
            continue
        if ids.derived(entry.model, at, f"{entry.detail.get('ids_of')}/{block}") == base:
            return BatchRow(entry, row + 1)
    return None


def _number(entry: Entry, name: str) -> int:
    """Return a number that an entry holds; 0 if somebody made it another thing."""
    value = entry.detail.get(name)
    return value if isinstance(value, int) else 0


def _log(scored: Scored, recorder: Recorder, log: PredictionLog) -> None:
    """Write all rows to the prediction log, each once however often this is begun."""
    signature, columns = scored.signature, scored.columns
    manifest = signature.manifest
    names = signature.logged
    declared = {c.name: c for c in manifest.inputs}
    form = recorder.form(manifest.model, columns.version, names, treatments_of(manifest))
    # Only who was killed, or logs the same rows again, finds some there.
    logged = log.bases(manifest.model, columns.base(0), columns.base((scored.rows - 1) // ID_ROWS))
    first = 0
    for number, table in enumerate(scored.source.chunks(names)):
        outputs = columns.predicted(scored.parts.read(number)).tolist()
        answers = []
        for low in range(0, len(table), ID_ROWS):
            base = columns.base((first + low) // ID_ROWS)
            if base in logged:
                continue
            block = table.slice(low, ID_ROWS)
            now = time.time_ns() // 1000
            answers.append(
                Answers(
                    base=base,
                    served_at=now,
                    arm=BATCH,
                    caller="",
                    latency_us=0,
                    probe=False,
                    event_times=_times(block, signature.time, now),
                    inputs=[_plain(block[name], declared.get(name)) for name in names],
                    outputs=outputs[low : low + ID_ROWS],
                    entities=_entities(block, signature, recorder),
                )
            )
        recorder.answers(form, *answers)
        first += len(table)


def _times(block: "pa.Table", column: str | None, now: int) -> list[int] | None:
    """Return when each row's event happened, as far as the rows tell."""
    if column is None:
        return None
    import pandas as pd

    from mlops_assets.data.columns import convert

    times, _ = convert(block[column].to_pandas(), "datetime")
    return [now if pd.isna(time) else microseconds(time.to_pydatetime()) for time in times]


def _entities(block: "pa.Table", signature: Signature, recorder: Recorder) -> list[str | None] | None:
    """Return whom or what each row is about, as the log keeps it; None if the rows do not tell."""
    if signature.entity is None:
        return None
    entities = entities_in(block[signature.entity].to_pylist(), signature.entity)
    return as_logged(entities, signature.manifest, recorder.pseudonyms)


def _plain(values: "pa.ChunkedArray", column: Column | None) -> list[Any]:
    """Return a column as a client would have sent it: JSON values, and nothing where it is missing."""
    plain = values.to_pylist()
    if column is not None and column.type in ("number", "integer", "boolean"):
        return [None if value is None or value != value else value for value in plain]
    dated = [value.isoformat() if isinstance(value, date) else value for value in plain]
    return [None if value != value else value for value in dated]
