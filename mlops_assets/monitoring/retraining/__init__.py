"""When to retrain: where it can be expected to gain, never for drift alone; and how that would have gone."""

from mlops_assets.monitoring.retraining.decision import BUDGET_SPAN, Decision, Trigger, decide

__all__ = ["BUDGET_SPAN", "Decision", "Trigger", "decide"]
