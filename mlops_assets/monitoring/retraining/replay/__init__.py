"""The past, walked through under another policy: what it would have decided, and how that turned out.

At each tick only the labels that were known by then are looked at, by whoever decides, trains and compares.
How a decision turned out is added when the walk is over.
"""

from mlops_assets.monitoring.retraining.replay.fleet import replay, replay_fleet
from mlops_assets.monitoring.retraining.replay.policy import Gate, Policy, RulesPolicy
from mlops_assets.monitoring.retraining.replay.replayed import Fate, Replayed, Step, Version

__all__ = [
    "Fate",
    "Gate",
    "Policy",
    "Replayed",
    "RulesPolicy",
    "Step",
    "Version",
    "replay",
    "replay_fleet",
]
