"""How long a gateway takes to prove a version before it loads it, beyond hashing the model's file.

    python benchmarks/evidence.py

A version is registered and released as the platform does it, with as many gates and findings as in earnest.
Proving it is what the gateway does at each load: its evidence and its release are fetched, their signatures
verified, and every gate is judged anew under today's policy. The peer merely fetches the evidence by MLflow.
Seconds of wall time in one process, the median of thirty.
"""

import os
import tempfile

from timing import median_seconds
from vouched_fleet import promote_champions

from mlops_assets.home import Home
from mlops_assets.registry.port import CHAMPION, EVIDENCE_TAG
from mlops_assets.resources import Platform
from mlops_assets.serving.proving import Prover
from mlops_assets.specs.policy_file import load_policy

_ROUNDS = 30
_LIMIT_SECONDS = 0.020


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["MLOPS_HOME"] = f"{scratch}/home"
        os.environ.update(Home.from_environment().prepare().environment())
        policy, platform = load_policy(), Platform()
        promote_champions(platform, policy, 1)
        registry, prover = platform.registry, Prover(platform.verifier, lambda: policy)
        ((model, aliases),) = registry.aliases().items()
        version = registry.version(model, aliases[CHAMPION])
        assert version is not None
        known = version

        def ours() -> None:
            evidence = prover.evidence(registry, known, known.candidate)
            prover.release(registry, known, known.candidate, evidence)

        def peer() -> None:
            registry.read_statement(known.run_id, f"evidence/{known.tags[EVIDENCE_TAG]}.json")

        took, fetched = median_seconds(ours, _ROUNDS), median_seconds(peer, _ROUNDS)
    print(f"evidence and release proven in {took * 1000:.1f} ms; ")
    print(f"evidence merely fetched in {fetched * 1000:.1f} ms; ratio {took / fetched:.2f}; ")
    print(f"limit {_LIMIT_SECONDS * 1000:g} ms, used {took / _LIMIT_SECONDS:.0%}")


if __name__ == "__main__":
    main()
