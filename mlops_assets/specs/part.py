"""What all parts of a spec and of the policy have in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from mlops_assets import digests


class ContradictionError(ValueError):
    """Parts of a spec that are right by themselves but do not go together.

    Args:
        *problems: For each the path to the part that has to change, and what is wrong.
    """

    def __init__(self, *problems: tuple[tuple[str | int, ...], str]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems


class Part(BaseModel):
    """Base of all parts: immutable, and unknown keys are errors.

    So are NaN and the infinities: nothing keeps a limit of NaN, or everything does, and JSON knows neither.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def as_json(value: Any) -> Any:
    """Return a value that JSON can hold, since that is what a spec is kept as.

    Raises:
        ValueError: It cannot.
    """
    try:
        digests.canonical_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"holds what JSON has no word for ({error}); NaN, infinities, dates and bytes belong into code"
        ) from None
    return value
