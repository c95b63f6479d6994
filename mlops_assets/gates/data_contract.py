"""Gate on raw data: the declared contract, through Great Expectations."""

from pathlib import Path

import dagster as dg

from mlops_assets.data.contract import check_contract
from mlops_assets.data.snapshots import read_snapshot
from mlops_assets.gates.gate import gate_check, record_and_show
from mlops_assets.resources import Platform
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.records import RawData
from mlops_assets.stages.stage import readable_errors

NAME = "data_contract"


def data_contract(spec: ModelSpec, folder: Path) -> dg.AssetChecksDefinition:
    """Return the check that holds a snapshot against the spec."""

    @gate_check(
        spec,
        "raw_data",
        NAME,
        "Types, ranges, allowed values, nulls, key uniqueness, row count and freshness as declared.",
    )
    def gate(raw: RawData, platform: Platform) -> dg.AssetCheckResult:
        with readable_errors():
            rows = read_snapshot(platform.home.snapshot(spec.name, raw.digest), raw.digest)
            verdict = check_contract(rows, spec.data, raw.as_of, folder)
            return record_and_show(platform, spec, raw.digest, verdict)

    return gate
