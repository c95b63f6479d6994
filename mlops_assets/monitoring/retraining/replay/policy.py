"""What decides in a replay: whether to train, and whether what was trained serves."""

import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Protocol

from mlops_assets.monitoring.retraining.decision import Decision, Rules, Situation, decide_on
from mlops_assets.monitoring.retraining.gain import WINDOW_SPREAD, ExpectedGain
from mlops_assets.monitoring.retraining.history import Comparison


@dataclass(frozen=True)
class Gate:
    """What a challenger has to show before it serves, and after.

    Attributes:
        confidence: That it is better than the champion on rows that neither learned from.
        min_rows: Fewest such rows.
        looks: How often it is compared, at successive ticks and on all rows so far, before it has lost. The
            chance of a false win is divided among the looks.
        revert: Confidence at which the version before is better on the labels of the last four windows, none
            of which the new one has won on, so that it comes back; None if it never does.
        weighs_expectation: Whether what was expected counts. Then a challenger wins that is better on those
            rows, and to such a confidence by these and the expectation together (Bayes), however often it is
            looked at.
    """

    confidence: float = 0.95
    min_rows: int = 30
    looks: int = 1
    revert: float | None = None
    weighs_expectation: bool = False

    def is_won(self, found: Comparison | None, expected: ExpectedGain | None) -> bool:
        """Return whether a challenger has shown enough."""
        if found is None or found.rows < self.min_rows:
            return False
        if not self.weighs_expectation or expected is None or not found.error > 0:
            return found.p_value <= (1 - self.confidence) / self.looks
        spread = expected.error**2 + WINDOW_SPREAD**2
        precision = 1 / spread + 1 / found.error**2
        mean = (expected.share / spread + found.gain / found.error**2) / precision
        return found.gain > 0 and NormalDist().cdf(mean * math.sqrt(precision)) >= self.confidence

    def is_lost(self, found: Comparison | None) -> bool:
        """Return whether a version has been shown to be worse than the one it took the place of."""
        if self.revert is None or found is None or found.rows < self.min_rows:
            return False
        return found.p_value >= self.revert


class Policy(Protocol):
    """What decides in a replay."""

    @property
    def gate(self) -> Gate | None:
        """What a challenger has to show; None if it serves at once."""

    @property
    def fleet_budget(self) -> float | None:
        """Share of the fleet's models that may be trained at one tick; None for all."""

    def decide(self, model: str, situation: Situation) -> Decision:
        """Return whether to train a model."""


@dataclass(frozen=True)
class RulesPolicy:
    """A policy by a model's rules; see :class:`Policy`."""

    rules: Rules
    gate: Gate | None = field(default_factory=Gate)
    fleet_budget: float | None = None

    def decide(self, model: str, situation: Situation) -> Decision:
        """Return whether to train a model."""
        return decide_on(situation, self.rules)
