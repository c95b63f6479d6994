"""What tests of batch scoring do: score files by models of a fleet, as the command does."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.prediction_ids import PredictionIds
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.secret import secret_for
from mlops_assets.prediction_log.segment_writer import SegmentWriter
from mlops_assets.scoring import inputs, job
from mlops_assets.scoring.job import Scored, Scorer
from mlops_assets.scoring.records import Records
from mlops_assets.serving.proven import Proven, ProvenVersions
from mlops_assets.specs.policy_file import load_policy
from mlops_assets_tests.fleets import Fleet, diabetes

CHUNK_ROWS = 2_000


@dataclass(frozen=True)
class Desk:
    """Where files are scored."""

    fleet: Fleet
    packages: Path

    @staticmethod
    def shrink_chunks(set_to: Callable[[Any, str, int], None]) -> None:
        for module in (inputs, job):
            set_to(module, "CHUNK_ROWS", CHUNK_ROWS)

    @staticmethod
    def write_rows(file: Path, count: int) -> Path:
        """Write rows for the model diabetes: real ones, over and over."""
        rows = diabetes().rows
        pd.concat([rows] * (count // len(rows) + 1)).head(count).to_parquet(file, index=False)
        return file

    @cached_property
    def audit(self) -> AuditChain:
        home = self.fleet.home
        return AuditChain(home.state_url, home.audit_checkpoints, lambda: self.fleet.signer)

    @property
    def ids(self) -> PredictionIds:
        return PredictionIds(secret_for(self.fleet.home.root))

    def proven(self, model: str, version: str | None = None) -> Proven:
        """Return a version, loaded as it would be for scoring."""
        folder = self.packages / f"{model}-{len(list(self.packages.glob('*')))}"
        folder.mkdir(parents=True)
        registry, verifier = self.fleet.registry, self.fleet.signer.verifier
        return ProvenVersions(registry, verifier, self.audit, load_policy, folder).load(model, version)

    def score(
        self, model: str, source: Any, out: Path, *, log: Path | None = None, keep: Any = (), **options: Any
    ) -> Scored:
        """Score a file, as the command does, with a log in a folder if given."""
        proven = self.proven(model, options.pop("version", None))
        secret = secret_for(self.fleet.home.root)
        records = Records(
            proven,
            self.audit,
            actor="tests",
            recorder=(lambda: Recorder(SegmentWriter(log, "test"), secret)) if log else None,
            log=PredictionLog(log) if log else None,
        )
        return Scorer(proven.resident, self.ids, deliver=records.keep, **options).score(source, out, keep)
