"""What it takes to replay a changed policy over the evidence of a live fleet.

    python benchmarks/policy_diff.py [MODELS]

The peer merely reads the evidence of the same versions and verifies its signature. Seconds of wall time in
one process, the median of three, on MLflow and the audit chain on SQLite. The new policy tightens one limit
that half of the models have just reached.
"""

import os
import sys
import tempfile
from pathlib import Path

from timing import median_seconds
from vouched_fleet import promote_champions

from mlops_assets.home import Home
from mlops_assets.registry.policy_replay import live_versions, replay
from mlops_assets.registry.proof import read_evidence
from mlops_assets.resources import Platform
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.policy_file import load_policy, policy_of

_ROUNDS = 3
_LIMIT_SECONDS = 60.0
_NEW = "tiers: {limited: {gates: {feature_verification: {max_leakage: 0.9}}}}\n"


def main(models: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["MLOPS_HOME"] = f"{scratch}/home"
        os.environ.update(Home.from_environment().prepare().environment())
        (file := Path(scratch) / "new.yaml").write_text(_NEW)
        today, new, platform = load_policy(), policy_of(file), Platform()
        promote_champions(platform, today, models)
        authority = platform.authority
        live = [found.version for found in live_versions(authority)]

        def peer() -> None:
            for version in live:
                read_evidence(platform.registry, version, platform.verifier)

        def ours() -> list[str]:
            return [standing.outcome for standing in replay(authority, today, new, utc_now())]

        outcomes = ours()
        took, read = median_seconds(ours, _ROUNDS), median_seconds(peer, _ROUNDS)
    stops = outcomes.count("stops")
    print(f"{len(outcomes)} live versions: {stops} would stop passing, found in {took:.1f} s; ")
    print(f"evidence merely read in {read:.1f} s; ratio {took / read:.2f}; ")
    print(f"limit {_LIMIT_SECONDS:g} s, used {took / _LIMIT_SECONDS:.0%}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
