"""What is assumed of faults and false alarms when alarms are laid at one door: few figures, all stated."""

import math
from dataclasses import dataclass, field

from mlops_assets.monitoring.incidents.suspects import SuspectKind


@dataclass(frozen=True)
class Assumptions:
    """Probabilities, each of one thing that is looked at in one window.

    They are orders of magnitude. What decides is how they combine over many models, and
    ``benchmarks/incidents.py`` shows what they come to.

    Attributes:
        false_alarm: That there is an alarm though nothing is wrong; the promised budget makes it less.
        fault: That a suspect is at fault, before anything is seen.
        detection: That a model raises an alarm if what it depends on is at fault, by sort of suspect.
        clear_detection: The same for a column or source, if the move is one that only faults make.
        follows: That a consequence of a fault raises an alarm, before it is seen how many models show it.
        alike: That two signs of one fault are moves of one family.
        alike_by_chance: That two signs of nothing common are.
        late: That a fault shows in a model windows after it showed in others.
        fresh: Share of the time in which some version of a model is new.
        own_fault: That one model's input, and not its source, has a move that only faults make.
        other_outcome: That a label feed at fault shows in the performance before it shows in the labels.
    """

    false_alarm: float = 0.001
    fault: float = 0.001
    detection: dict[SuspectKind, float] = field(
        default_factory=lambda: {
            "model": 0.3,
            "deployment": 0.8,
            "column": 0.3,
            "broken_source": 0.3,
            "missing_source": 0.8,
            "labels": 0.8,
            "gateway": 0.6,
            "monitoring": 0.6,
        }
    )
    clear_detection: float = 0.8
    follows: float = 0.3
    alike: float = 0.9
    alike_by_chance: float = 0.25
    late: float = 0.05
    fresh: float = 0.1
    own_fault: float = 0.15
    other_outcome: float = 0.2

    @property
    def cost(self) -> float:
        """What it costs, as a natural logarithm, to suppose one more fault."""
        return -math.log(self.fault)

    def sign(self, probability: float) -> float:
        """Return what an alarm says for a suspect that would raise it with this probability."""
        return math.log(probability / self.false_alarm)

    def silence(self, probability: float) -> float:
        """Return what it says against a suspect that there is none."""
        return math.log((1 - self.false_alarm) / (1 - probability))
