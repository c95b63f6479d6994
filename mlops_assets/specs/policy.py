"""What the platform demands of every model, by risk."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from mlops_assets.specs.alert_rules import Alerts
from mlops_assets.specs.approver import Approvers
from mlops_assets.specs.durations import Duration
from mlops_assets.specs.gate_rules import Gates
from mlops_assets.specs.part import Part
from mlops_assets.specs.rollout_rules import RolloutRules
from mlops_assets.specs.strictness import Stricter, partial

Risk = Literal["minimal", "limited", "high"]
RISKS: tuple[Risk, ...] = ("minimal", "limited", "high")

_Shorter = Annotated[Duration, Stricter("lower")]


class ApprovalRules(Part):
    """Whose consent a version needs before it serves. Nobody may consent to work of their own."""

    needed: Annotated[int, Stricter("higher"), Field(ge=0)] = Field(
        description="People who have to approve; 0 for none."
    )
    teams: Annotated[tuple[str, ...], Stricter("unchanged")] = Field(
        description="Teams whose members may approve; anyone listed as an approver if empty."
    )
    timeout: _Shorter = Field(description="How long a version waits for approvals.")


class EvidenceRules(Part):
    """How long a candidate's evidence holds."""

    lifetime: _Shorter = Field(description="Age at which its evidence no longer lets a version load.")


Severity = Literal["warn", "error"]
_Graver = Annotated[Severity, Stricter("later", order=("warn", "error"))]


class CheckRules(Part):
    """How grave the findings of each check of a window are."""

    drift: _Graver = "warn"
    quality: _Graver = "warn"
    performance: _Graver = "error"
    fairness: _Graver = "error"
    service: _Graver = "warn"
    cost: _Graver = "warn"


class MonitoringRules(Part):
    """How closely an endpoint is watched, at the least."""

    window: Annotated[Duration, Stricter("lower")] = Field(description="Longest window between two looks.")
    max_tolerance: Annotated[float, Stricter("lower")] = Field(
        description="Loss of the primary metric that may count as no harm."
    )
    # Evidence that was signed before there were these has to be what it was, digest and all.
    false_alarms: Annotated[float, Stricter("unchanged"), Field(gt=0)] = Field(
        1.0,
        description="False alarms that a team is promised at most, a quarter, by all of its models together.",
        exclude_if=lambda promised: promised == 1.0,
    )
    least_effect: Annotated[float, Stricter("unchanged"), Field(ge=0)] = Field(
        0.1,
        description="What did not surely move by more is no alarm, in standard deviations of a row.",
        exclude_if=lambda least: least == 0.1,
    )
    checks: CheckRules = Field(
        CheckRules(),
        description="How grave the findings of each check of a window are.",
        exclude_if=lambda checks: checks == CheckRules(),
    )


class RetrainingRules(Part):
    """How often a model may be retrained without anybody asking."""

    budget: Annotated[int, Stricter("lower"), Field(ge=0)] = Field(
        description="Automatic retrainings in 30 days."
    )
    min_cooldown: Annotated[Duration, Stricter("higher")] = Field(description="Least time between two.")


class DrillRules(Part):
    """How often the way back has to be rehearsed."""

    max_age: Annotated[Duration | None, Stricter("lower")] = Field(
        description="Age from which on a drill no longer lets a version be promoted; null if none is needed."
    )


class RetentionRules(Part):
    """How long what is needed to answer for a decision is kept."""

    predictions: Annotated[Duration, Stricter("higher")]
    evidence: Annotated[Duration, Stricter("higher")]


class Rules(Part):
    """All that is demanded of a model."""

    sensitive_features: Annotated[bool, Stricter("lower")] = Field(
        description="Whether a model of this risk may use columns declared as sensitive."
    )
    gates: Gates
    approvals: ApprovalRules
    rollout: RolloutRules
    evidence: EvidenceRules
    monitoring: MonitoringRules
    retraining: RetrainingRules
    retention: RetentionRules
    drills: DrillRules = DrillRules(max_age=None)

    @model_serializer(mode="wrap")
    def _later_demands_only_where_they_demand(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Evidence that was signed before there were drills has to be what it was, digest and all.
        value: dict[str, Any] = written(self)
        if self.drills.max_age is None:
            del value["drills"]
        return value


# The same with every value optional, for what is written over it. A type checker knows no made classes.
if TYPE_CHECKING:
    PartialRules: TypeAlias = Part
    PartialAlerts: TypeAlias = Part
    PartialGates: TypeAlias = Part
    PartialApprovalRules: TypeAlias = Part
    PartialRolloutRules: TypeAlias = Part
    PartialEvidenceRules: TypeAlias = Part
    PartialRetentionRules: TypeAlias = Part
else:
    PartialRules = partial(Rules)
    PartialAlerts = partial(Alerts)
    PartialGates = partial(Gates)
    PartialApprovalRules = partial(ApprovalRules)
    PartialRolloutRules = partial(RolloutRules)
    PartialEvidenceRules = partial(EvidenceRules)
    PartialRetentionRules = partial(RetentionRules)


class Tiers(Part):
    """What each risk demands beyond what all do."""

    minimal: PartialRules = PartialRules()
    limited: PartialRules = PartialRules()
    high: PartialRules = PartialRules()


class FleetRules(Part):
    """What all models share."""

    retrainings: Annotated[int | None, Field(ge=0)] = Field(
        None,
        description="Retrainings that may start by themselves in a day; null for any number.",
    )


class PolicyFile(Part):
    """A policy as it is written; what it leaves out is as in the policy that comes with the platform."""

    all: PartialRules = PartialRules()
    tiers: Tiers = Tiers()
    approvers: Approvers = Field((), description="Who may approve a release.")
    fleet: FleetRules = Field(FleetRules(), description="What all models share.")
    alerts: PartialAlerts = Field(PartialAlerts(), description="Who is told of incidents, and how often.")
