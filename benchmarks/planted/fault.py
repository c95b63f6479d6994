"""What a planted fault is, and the list of all."""

from collections.abc import Callable
from dataclasses import dataclass

from planted.candidate import Candidate

Plant = Callable[[Candidate], None]


@dataclass(frozen=True)
class Planting:
    """A change of a candidate: a fault, or an honest change.

    Attributes:
        name: Its name.
        model: Whose candidate is changed.
        says: What happens, in a sentence.
        plant: Makes the change.
        serves: Which model serves already; empty if none does.
        deployed: Whether it shows only where the model is deployed, so that its whole road is gone.
    """

    name: str
    model: str
    says: str
    plant: Plant
    serves: str = ""
    deployed: bool = False

    def candidate(self) -> Candidate:
        """Return the changed candidate."""
        found = Candidate.of(self.model, self.serves)
        self.plant(found)
        return found


FAULTS: list[Planting] = []
CLEAN: list[Planting] = []


def fault(*models: str, serves: str = "", deployed: bool = False) -> Callable[[Plant], Plant]:
    """Enter a function that plants a fault; its docstring is the sentence that describes it."""
    return _entered(FAULTS, models, serves, deployed)


def clean(*models: str, serves: str = "") -> Callable[[Plant], Plant]:
    """Enter a function that makes an honest change."""
    return _entered(CLEAN, models, serves, False)


def _entered(
    plantings: list[Planting], models: tuple[str, ...], serves: str, deployed: bool
) -> Callable[[Plant], Plant]:
    def enter(plant: Plant) -> Plant:
        name, says = plant.__name__.replace("_", " "), (plant.__doc__ or "").strip().partition("\n")[0]
        plantings.extend(Planting(name, model, says, plant, serves, deployed) for model in models)
        return plant

    return enter
