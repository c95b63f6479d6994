"""Who may be registered and who may serve: only a candidate that every gate vouches for.

This asks the ledger and not the orchestrator: a run that skipped a check, a job without checks or a
check result posted by hand leaves nothing in the ledger, and a missing verdict refuses.
"""

from mlops_assets.registry.port import CHAMPION, Registry
from mlops_assets.verdict import VerdictLedger

REQUIRED = ("data_contract", "feature_verification", "metric_thresholds", "champion_comparison")


def objections(
    ledger: VerdictLedger,
    registry: Registry,
    model: str,
    *,
    data: str,
    features: str,
    candidate: str,
) -> list[str]:
    """Return why a candidate may not go on, one sentence each; empty if it may.

    Args:
        ledger: The gates' verdicts.
        registry: Tells the present champion.
        model: Model name.
        data: Digest of the snapshot it was trained on.
        features: Digest of its feature table.
        candidate: Digest of the packaged model.
    """
    subjects = dict(zip(REQUIRED, (data, features, candidate, candidate), strict=True))
    found = ledger.missing_or_failed(model, subjects)
    comparison = ledger.find(model, candidate, "champion_comparison")
    if comparison is not None and comparison.passed:
        champion = registry.by_alias(model, CHAMPION)
        compared = comparison.measured.get("champion")
        now = champion.version if champion else None
        is_champion = champion is not None and champion.candidate == candidate
        if compared != now and not is_champion:
            found.append(
                f"gate champion_comparison compared with champion {compared or 'none'}, but the champion "
                f"is now {now or 'none'}; evaluate again"
            )
    return found
