"""Gates on the features and the target, before anything is learnt from them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.data.feature_verification import measure_features
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
    import pandas as pd

VERIFICATION = "feature_verification"

GATES = {
    VERIFICATION: "No broken feature, no target leakage, no jump against the champion's training window.",
    "label_noise": "No labels that were flipped, no rows that were planted among those to train on.",
}


def feature_gates(spec: ModelSpec, rules: Rules) -> dg.AssetChecksDefinition:
    """Return the checks that look at the features before anything is trained on them."""

    @gate_checks(spec, "validated_features", "features", GATES)
    def gates(
        context: dg.AssetCheckExecutionContext, features: ValidatedFeatures, platform: Platform
    ) -> Iterator[dg.AssetCheckResult]:
        with readable_errors():
            digest = learnt_from(features.raw.digest, features.digest)
            for gate in selected(context, GATES):
                known = _of_the_champion(spec, features, platform, gate)
                if known is not None:
                    yield enter_and_show(platform, spec, rules, digest, known, context.run)
                    continue
                measured = _MEASURES[gate](spec, features, platform, rules)
                yield file_and_show(platform, spec, rules, digest, measured, context.run)

    return gates


def _verified(spec: ModelSpec, features: ValidatedFeatures, platform: Platform, rules: Rules) -> Measurement:
    home, raw = platform.home, features.raw
    champion = _champion(spec, platform)
    table = read_snapshot(home.features(spec.name, features.digest), features.digest)
    rows = read_snapshot(home.snapshot(spec.name, raw.digest), raw.digest)
    previous = _if_kept(spec, champion.features, platform) if champion else None
    if champion is not None and previous is not None and champion.feature_code != features.code:
        previous = _defined_as_before(spec, previous, table)
    before = _learnt_before(spec, platform)
    if before is None:
        return measure_features(table, rows[spec.data.target], previous)
    declared = (c.name for c in spec.data.features if c.type == "string" or c.allowed)
    categories = {name: (before[name], rows[name]) for name in declared if name in before}
    target = before.get(spec.data.target)
    return measure_features(table, rows[spec.data.target], previous, categories, target)


def _screened(spec: ModelSpec, features: ValidatedFeatures, platform: Platform, rules: Rules) -> Measurement:
    home, raw = platform.home, features.raw
    rows = read_snapshot(home.snapshot(spec.name, raw.digest), raw.digest)
    table = read_snapshot(home.features(spec.name, features.digest), features.digest)
    older = rows[spec.data.time_column] < holdout_start(rows[spec.data.time_column], spec.evaluation.holdout)
    learnt = rows[older]
    return measure_label_noise(
        table[older],
        learnt[spec.data.target],
        learnt,
        learnt[spec.data.time_column],
        spec,
        rules.gates.label_noise,
        _learnt_before(spec, platform),
    )


def _learnt_before(spec: ModelSpec, platform: Platform) -> "pd.DataFrame | None":
    """Return the rows the champion learnt from, if its snapshot is still there."""
    champion = _champion(spec, platform)
    if champion is None or not (path := platform.home.snapshot(spec.name, champion.data)).exists():
        return None
    return read_snapshot(path, champion.data)


_MEASURES = {VERIFICATION: _verified, "label_noise": _screened}


def _of_the_champion(
    spec: ModelSpec, features: ValidatedFeatures, platform: Platform, gate: str
) -> Measurement | None:
    """Return what was measured if the champion learnt from these very features, under this very spec.

    Run again after it was promoted: what it was compared with then is the evidence, and stays.
    """
    champion = _champion(spec, platform)
    if champion is None or (champion.data, champion.features) != (features.raw.digest, features.digest):
        return None
    record = platform.ledger.find(spec.name, learnt_from(champion.data, champion.features), gate)
    return record.measurement if record and record.spec == spec.digest else None


def _champion(spec: ModelSpec, platform: Platform) -> Subject | None:
    """Return what the champion was made of, by its evidence: its tags can be altered by hand.

    Raises:
        Refused: Its evidence cannot be read, so nobody can tell what to compare with.
    """
    champion = platform.champion(spec.name)
    return read_evidence(platform.registry, champion, platform.verifier).subject if champion else None


def _if_kept(spec: ModelSpec, digest: str, platform: Platform) -> "pd.DataFrame | None":
    if not (path := platform.home.features(spec.name, digest)).exists():
        return None
    return read_snapshot(path, digest)


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
