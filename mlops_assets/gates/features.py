"""Gates on the features and the target, before anything is learnt from them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg

from mlops_assets.data.feature_verification import LastTraining, measure_features
from mlops_assets.data.features import FeatureView
from mlops_assets.data.rewritten_values import rewritten_values
from mlops_assets.data.snapshots import read_snapshot
from mlops_assets.gates.gate import enter_and_show, file_and_show, gate_checks, selected
from mlops_assets.governance.evidence import Subject, learnt_from
from mlops_assets.registry.proof import read_evidence
from mlops_assets.resources import Platform
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Rules
from mlops_assets.stages.records import ValidatedFeatures
from mlops_assets.stages.stage import readable_errors
from mlops_assets.training.label_noise import measure_label_noise
from mlops_assets.training.split import holdout_start
from mlops_assets.verdict import Measurement

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

VERIFICATION = "feature_verification"

GATES = {
    VERIFICATION: "No broken feature, no target leakage, no jump against the champion's training window.",
    "label_noise": "No labels that were flipped or are missing for a time, no rows that were planted.",
}


@dataclass(frozen=True)
class Judged:
    """Features and all that their gates look at, each read once."""

    spec: ModelSpec
    rules: Rules
    features: ValidatedFeatures
    platform: Platform

    @cached_property
    def rows(self) -> "pd.DataFrame":
        """The raw rows."""
        digest = self.features.raw.digest
        return read_snapshot(self.platform.home.snapshot(self.spec.name, digest), digest)

    @cached_property
    def table(self) -> "pd.DataFrame":
        """The features, row by row those of the raw rows."""
        digest = self.features.digest
        return read_snapshot(self.platform.home.features(self.spec.name, digest), digest)

    @cached_property
    def newest(self) -> "np.ndarray[Any, Any]":
        """Which rows are the hold-out, that nothing is learnt from; shape (n,)."""
        times = self.rows[self.spec.data.time_column]
        return (times >= holdout_start(times, self.spec.evaluation.holdout)).to_numpy()

    @cached_property
    def champion(self) -> Subject | None:
        """What the champion was made of, by its evidence: its tags can be altered by hand.

        Raises:
            Refused: Its evidence cannot be read, so nobody can tell what to compare with.
        """
        platform = self.platform
        champion = platform.champion(self.spec.name)
        return read_evidence(platform.registry, champion, platform.verifier).subject if champion else None

    @cached_property
    def champions_rows(self) -> "pd.DataFrame | None":
        """The raw rows that the champion learnt from, if they are still there."""
        return _if_kept(self.platform.home.snapshot, self.champion, "data")

    @cached_property
    def champions_table(self) -> "pd.DataFrame | None":
        """The features that the champion learnt from, likewise."""
        return _if_kept(self.platform.home.features, self.champion, "features")


def feature_gates(spec: ModelSpec, rules: Rules) -> dg.AssetChecksDefinition:
    """Return the checks that look at the features before anything is trained on them."""

    @gate_checks(spec, "validated_features", "features", GATES)
    def gates(
        context: dg.AssetCheckExecutionContext, features: ValidatedFeatures, platform: Platform
    ) -> Iterator[dg.AssetCheckResult]:
        with readable_errors():
            digest = learnt_from(features.raw.digest, features.digest)
            judged = Judged(spec, rules, features, platform)
            for gate in selected(context, GATES):
                known = _of_the_champion(judged, gate)
                if known is not None:
                    yield enter_and_show(platform, spec, rules, digest, known, context.run)
                    continue
                measured = _MEASURES[gate](judged)
                yield file_and_show(platform, spec, rules, digest, measured, context.run)

    return gates


def _verified(judged: Judged) -> Measurement:
    spec, rows = judged.spec, judged.rows
    return measure_features(
        judged.table,
        rows[spec.data.target],
        _last_training(judged),
        judged.newest,
        FeatureView.from_spec(spec.data).source,
    )


def _last_training(judged: Judged) -> LastTraining:
    spec, rows, champion, before = judged.spec, judged.rows, judged.champion, judged.champions_rows
    features = judged.champions_table
    if champion is not None and features is not None and champion.feature_code != judged.features.code:
        features = _defined_as_before(spec, features, judged.table)
    if before is None:
        return LastTraining(features)
    declared = (c.name for c in spec.data.features if c.type == "string" or c.allowed)
    return LastTraining(
        features,
        before.get(spec.data.target),
        {name: (before[name], rows[name]) for name in declared if name in before},
        rewritten_values(rows, before, spec.data),
    )


def _screened(judged: Judged) -> Measurement:
    rows, newest = judged.rows, judged.newest
    return measure_label_noise(
        judged.table[~newest],
        rows[~newest],
        judged.spec,
        judged.rules.gates.label_noise,
        judged.champions_rows,
        holdout=rows[newest],
    )


_MEASURES = {VERIFICATION: _verified, "label_noise": _screened}


def _of_the_champion(judged: Judged, gate: str) -> Measurement | None:
    """Return what was measured if the champion learnt from these very features, under this very spec.

    Run again after it was promoted: what it was compared with then is the evidence, and stays.
    """
    spec, features, champion = judged.spec, judged.features, judged.champion
    if champion is None or (champion.data, champion.features) != (features.raw.digest, features.digest):
        return None
    digest = learnt_from(champion.data, champion.features)
    record = judged.platform.ledger.find(spec.name, digest, gate)
    return record.measurement if record and record.spec == spec.digest else None


def _if_kept(
    file_of: Callable[[str, str], Path], champion: Subject | None, what: Literal["data", "features"]
) -> "pd.DataFrame | None":
    """Return a table that the champion was made of, if it is still there."""
    if champion is None:
        return None
    digest = getattr(champion, what)
    file = file_of(champion.model, digest)
    return read_snapshot(file, digest) if file.exists() else None


def _defined_as_before(
    spec: ModelSpec, previous: "pd.DataFrame", table: "pd.DataFrame"
) -> "pd.DataFrame | None":
    """Return what can be compared after the features' definition changed: what the team did is no jump.

    Raw columns that are still declared, of the same type, are comparable; of what another feature
    function computes, nothing can be told.
    """
    if spec.data.feature_function is not None:
        return None
    return previous[[c for c in previous if c in table and previous[c].dtype == table[c].dtype]]
