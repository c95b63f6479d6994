"""How a team's budget of false alarms is divided among what may raise one.

A team is promised so many false alarms a quarter for all its models together. Each model has an equal part
of that, and each test a fixed part of its model's, spent by the time that a window takes of a quarter. By
Bonferroni's inequality the promise holds however the tests depend on each other.
"""

from dataclasses import dataclass

from mlops_assets.monitoring.alarms.decision import alpha_of
from mlops_assets.monitoring.windows import Period

# Inputs are many and the reason why there is a budget; labels tell of harm, which nobody wants to miss.
_COLUMNS, _HARM, _CONCEPT_DRIFT, _LABELS, _FAIRNESS, _SERVICE = 0.4, 0.2, 0.15, 0.05, 0.1, 0.1
_LEAST_CONFIDENCE, _MOST_CONFIDENCE = 0.5, 0.9999


@dataclass(frozen=True)
class Budget:
    """False alarms that a model may raise.

    Attributes:
        a_quarter: Of one model, in a quarter.
        period: Length of its windows.
    """

    a_quarter: float
    period: Period

    @classmethod
    def of(cls, false_alarms: float, models: int, period: Period) -> "Budget":
        """Return one model's part.

        Args:
            false_alarms: What its team is promised, a quarter.
            models: How many models the team has.
            period: Length of the model's windows.
        """
        return cls(false_alarms / max(models, 1), period)

    @property
    def columns(self) -> float:
        """Probability of naming any column in a window while nothing is wrong."""
        return self._of_window(_COLUMNS)

    @property
    def service(self) -> float:
        """The same of requests, failures and latency."""
        return self._of_window(_SERVICE)

    @property
    def fairness(self) -> float:
        """The same of gaps between groups."""
        return self._of_window(_FAIRNESS)

    @property
    def concept_drift(self) -> float:
        """False alarms a quarter of tests over time; they spend by time themselves."""
        return self.a_quarter * _CONCEPT_DRIFT

    @property
    def labels(self) -> float:
        """The same of labels that jump."""
        return self.a_quarter * _LABELS

    def confidence(self, asked: float) -> float:
        """Return the two-sided confidence at which harm is told, at least what the spec asks for."""
        kept = 1 - 2 * self._of_window(_HARM)
        return min(max(asked, kept, _LEAST_CONFIDENCE), _MOST_CONFIDENCE)

    def _of_window(self, share: float) -> float:
        return alpha_of(self.a_quarter * share, self.period, 1)
