"""How a version comes to serve, and what it has to show on the way."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from mlops_assets.specs.durations import Duration
from mlops_assets.specs.part import Part
from mlops_assets.specs.strictness import Stricter

Strategy = Literal["immediate", "blue_green", "shadow", "canary"]

_Lower = Stricter("lower")
_Percent = Annotated[int, Field(gt=0, lt=100)]


class GuardRules(Part):
    """How much worse the challenger may be in one respect."""

    tolerance: Annotated[float, _Lower, Field(ge=0)] = Field(
        description="Once it is shown to be worse by more than this, the rollout is reverted."
    )
    margin: Annotated[float, _Lower, Field(gt=0)] = Field(
        description="It goes on once it is shown to be worse by less than this."
    )
    required: Annotated[bool, Stricter("higher")] = Field(
        description="Whether the rollout waits for that; harm counts in any case."
    )


# No share differs from another by more than 1, so that this is never broken and never waited for.
_NOTHING = GuardRules(tolerance=1, margin=1, required=False)


class Guards(Part):
    """What is compared between the challenger and the champion; shares and losses from 0 to 1."""

    error_rate: GuardRules = Field(description="Share of valid requests the model fails on.")
    latency: GuardRules = Field(description="Share of answers slower than nearly all of the champion's were.")
    predictions: GuardRules = Field(
        description="Share of the answers in any tenth of the range of the champion's."
    )
    performance: GuardRules = Field(description="Loss on the labels that have arrived.")
    group_performance: GuardRules = Field(description="The same in each declared group and slice.")
    kpi: GuardRules = Field(description="The declared business figure.")
    cost: GuardRules = Field(
        _NOTHING,
        description="Mean time that a prediction takes, of the time that nearly all of the champion's took.",
    )

    @model_serializer(mode="wrap")
    def _later_demands_only_where_they_demand(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Evidence that was signed before costs were compared has to be what it was, digest and all.
        value: dict[str, Any] = written(self)
        if self.cost == _NOTHING:
            del value["cost"]
        return value


class RolloutRules(Part):
    """How a version comes to serve when another one does."""

    strategy: Annotated[
        Strategy, Stricter("later", order=("immediate", "blue_green", "shadow", "canary"))
    ] = Field(
        description="immediate: at once. blue_green: all at once, the champion answering unseen beside it. "
        "shadow: unseen beside the champion first. canary: for more and more of the traffic, after a shadow "
        "if one is asked for."
    )
    shadow: Annotated[Duration, Stricter("higher")] = Field(
        description="How long it answers unseen beside the champion, at the least."
    )
    canary: Annotated[tuple[_Percent, ...], Stricter("more")] = Field(
        description="Percentages of the traffic it has to pass through."
    )
    min_units: Annotated[int, Stricter("higher"), Field(ge=1)] = Field(
        description="Entities, or requests where none are named, that each step has to see of either arm."
    )
    min_time: Annotated[Duration, Stricter("higher")] = Field(
        description="How long each step takes at least."
    )
    deadline: Annotated[Duration, _Lower] = Field(
        description="Age at which a rollout that has shown neither harm nor its absence is reverted."
    )
    alpha: Annotated[float, _Lower, Field(gt=0, lt=0.5)] = Field(
        description="How probable it may be to revert a version that does no harm, and to promote one that "
        "is worse by the margin, however often anybody looks."
    )
    guards: Guards
