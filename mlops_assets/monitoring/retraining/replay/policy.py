"""What decides in a replay: whether to train, and whether what was trained serves."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mlops_assets.evaluation.quality import share_of_error
from mlops_assets.monitoring.retraining.decision import Decision, Rules, Situation, decide_on
from mlops_assets.monitoring.retraining.gain import ExpectedGain
from mlops_assets.monitoring.retraining.history import Comparison

if TYPE_CHECKING:
    from mlops_assets.specs.gate_rules import ChampionComparisonRules


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
        margin: Gain of the metric that must be shown.
    """

    confidence: float = 0.95
    min_rows: int = 30
    looks: int = 1
    revert: float | None = None
    weighs_expectation: bool = False
    margin: float = 0.0

    @classmethod
    def of(cls, rules: "ChampionComparisonRules") -> "Gate":
        """Return the gate that a policy demands. In a replay each hold-out is used for the first time."""
        demanded = rules.confidence
        return cls(
            confidence=1 - (1 - demanded) * share_of_error(1) if demanded else 0.0,
            min_rows=int(rules.min_rows or 1),
            weighs_expectation=rules.weighs_expectation,
            margin=rules.min_gain,
        )

    def is_won(self, found: Comparison | None, expected: ExpectedGain | None) -> bool:
        """Return whether a challenger has shown enough."""
        if found is None or found.rows < self.min_rows:
            return False
        together = None
        if self.weighs_expectation and expected is not None:
            together = found.shown.probability_with(expected.expectation)
        if together is None:
            return found.p_value <= (1 - self.confidence) / self.looks
        return together >= self.confidence

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
