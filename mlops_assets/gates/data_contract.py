"""Gate on raw data: the declared contract, through Great Expectations."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from mlops_assets.data.contract import measure_contract
from mlops_assets.data.snapshots import read_snapshot
from mlops_assets.gates.gate import file_and_show, gate_checks
from mlops_assets.resources import Platform
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Rules
from mlops_assets.stages.records import RawData
from mlops_assets.stages.stage import readable_errors

GATES = {
    "data_contract": "Types, ranges, allowed values, nulls, key uniqueness, row count, freshness as declared."
}


def data_contract(spec: ModelSpec, rules: Rules, folder: Path) -> dg.AssetChecksDefinition:
    """Return the check that holds a snapshot against the spec."""

    @gate_checks(spec, "raw_data", "raw", GATES)
    def gate(
        context: dg.AssetCheckExecutionContext, raw: RawData, platform: Platform
    ) -> Iterator[dg.AssetCheckResult]:
        with readable_errors():
            rows = read_snapshot(platform.home.snapshot(spec.name, raw.digest), raw.digest)
            measured = measure_contract(rows, spec.data, raw.as_of, folder)
            yield file_and_show(platform, spec, rules, raw.digest, measured, context.run)

    return gate
