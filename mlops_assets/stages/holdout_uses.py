"""How often a hold-out was used: who may try again and again on the same rows wins by luck some day."""

from collections.abc import Iterator
from datetime import datetime

from mlops_assets.evaluation.quality import HoldoutUse, others_on_holdout
from mlops_assets.governance.audit_entry import Entry
from mlops_assets.resources import Platform
from mlops_assets.stages.records import TrainedModel

COMPARED = "compare"


def other_candidates(model: str, trained: TrainedModel, platform: Platform) -> frozenset[str]:
    """Enter that a candidate is compared on a hold-out, and return which others were by now.

    It is entered before anybody knows the outcome, and in the audit chain, from which it cannot be taken
    away unseen: who does not like an outcome cannot have it forgotten.

    Args:
        model: Model name.
        trained: The candidate.
        platform: Where the audit chain is.
    """
    use = HoldoutUse(trained.candidate, trained.holdout_start, trained.features.raw.end)
    earlier = list(_earlier(use, platform.audit.entries(model)))
    if use not in earlier:
        platform.audit.append(COMPARED, model, candidate=use.candidate, since=use.start, until=use.end)
    return others_on_holdout(use, earlier)


def _earlier(use: HoldoutUse, entries: list[Entry]) -> Iterator[HoldoutUse]:
    for entry in entries:
        if entry.action != COMPARED:
            continue
        try:
            since, until = (datetime.fromisoformat(entry.detail[name]) for name in ("since", "until"))
            yield HoldoutUse(str(entry.detail["candidate"]), since, until)
        except (KeyError, TypeError, ValueError):
            # Somebody made it unreadable; it was a use, maybe of these very rows.
            yield HoldoutUse(f"entry {entry.seq}", use.start, use.end)
