"""Gate on features: none constant, none that gives the target away, none suddenly elsewhere."""

from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.data.feature_verification import verify_features
from mlops_assets.data.snapshots import read_snapshot
from mlops_assets.gates.gate import gate_check, record_and_show, shown
from mlops_assets.registry.port import CHAMPION
from mlops_assets.resources import Platform
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.records import ValidatedFeatures
from mlops_assets.stages.stage import readable_errors

if TYPE_CHECKING:
    import pandas as pd

NAME = "feature_verification"


def feature_verification(spec: ModelSpec) -> dg.AssetChecksDefinition:
    """Return the check that looks at the features before anything is trained on them."""

    @gate_check(
        spec,
        "validated_features",
        NAME,
        "No constant feature, no target leakage, no jump against the champion's training window.",
    )
    def gate(features: ValidatedFeatures, platform: Platform) -> dg.AssetCheckResult:
        with readable_errors():
            home, raw = platform.home, features.raw
            champion = platform.registry.by_alias(spec.name, CHAMPION)
            tags = champion.tags if champion else {}
            trained_on = tags.get("mlops.data"), tags.get("mlops.features")
            known = platform.verdicts.find(spec.name, features.digest, NAME)
            if trained_on == (raw.digest, features.digest) and known is not None:
                # Run again after it was promoted: what it was compared with then is the evidence, and stays.
                return shown(known, features.digest)
            table = read_snapshot(home.features(spec.name, features.digest), features.digest)
            target = read_snapshot(home.snapshot(spec.name, raw.digest), raw.digest)[spec.data.target]
            previous = _if_kept(spec, tags.get("mlops.features"), platform)
            if previous is not None and tags.get("mlops.feature_code") != features.code:
                previous = _defined_as_before(spec, previous, table)
            verdict = verify_features(table, target, previous)
            return record_and_show(platform, spec, features.digest, verdict)

    return gate


def _if_kept(spec: ModelSpec, digest: str | None, platform: Platform) -> "pd.DataFrame | None":
    if digest is None or not (path := platform.home.features(spec.name, digest)).exists():
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
