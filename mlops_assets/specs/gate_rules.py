"""What the policy may demand of each gate.

A field marked with a limit is what figures are held against: null demands nothing. Every other field says
how the gate measures. The values stand in ``policy.yaml``; ``docs/reference/gates.md`` tells of each gate
what it finds and why.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from mlops_assets.specs.part import Part
from mlops_assets.specs.spdx import SpdxLicence
from mlops_assets.specs.strictness import AtLeast, AtMost, Stricter, Way, stricter_way
from mlops_assets.specs.tasks import Limit, Metric

Confidence = Annotated[float, Stricter("higher"), Field(gt=0.5, lt=1.0)]
# Of a bound that has to show harm: the surer it has to be, the more harm gets through.
_ConfidenceOfHarm = Annotated[float, Stricter("lower"), Field(gt=0.5, lt=1.0)]
_FewestRows = Annotated[int, Stricter("lower"), Field(ge=1)]
# What a gain's probability by rows and expectation together is held to: the gate's confidence.
WEIGHED = "weighed_confidence"


class GateRules(Part):
    """What is demanded of every gate."""

    required: Annotated[bool, Stricter("higher")] = Field(
        description="Whether a candidate needs this gate's passing verdict."
    )

    def limits(self) -> dict[str, tuple[Way, float]]:
        """Return the limits that are set: by name, which way they bind, and the value."""
        return {
            name: (mark.way, float(value))
            for name in type(self).model_fields
            if (mark := stricter_way(type(self), name)) and mark.limit
            if (value := getattr(self, name)) is not None
        }

    def limits_for(self, measured: Collection[str]) -> dict[str, tuple[Way, float]]:
        """Return the limits that figures are held against; see :meth:`limits`.

        Args:
            measured: The limits that figures were measured for.
        """
        return self.limits()


class DataContractRules(GateRules):
    """The declared contract, through Great Expectations."""

    max_failed: AtMost = Field(description="Expectations that may fail.")


class FeatureVerificationRules(GateRules):
    """Features that vary, do not give the target away, and are where they were."""

    max_broken: AtMost = Field(description="Features that may be constant, infinite, gone or retyped.")
    max_leakage: AtMost = Field(description="Strength with which one feature alone may tell the target.")
    max_shift: AtMost = Field(description="Population stability index against the champion's window.")
    max_rewritten: AtMost = Field(
        description="Share of the rows the champion knew whose value of one column is another one now."
    )


class LabelNoiseRules(GateRules):
    """The screen for flipped and missing labels, and for planted rows."""

    max_flipped: AtMost = Field(description="Share of one group's labels that seem flipped.")
    max_changed: AtMost = Field(
        description="Share of one group's labels that were changed since the last training."
    )
    max_missing: AtMost = Field(
        description="Share of one class's labels that are surely missing in a stretch of time."
    )
    max_purity: AtMost = Field(
        description="How far the labels of one value are on the way from what is usual to being all alike."
    )
    max_seen: AtMost = Field(
        description="Share of the hold-out that is among the rows to train on too, beyond what chance tells."
    )
    max_copies: AtMost = Field(description="Share of rows that are there twice, beyond what chance explains.")
    confidence: _ConfidenceOfHarm = Field(
        description="One-sided, of all groups together: how sure it has to be before it counts."
    )
    min_rows: _FewestRows = Field(description="Rows a group needs to be looked at.")


class ReproducibilityRules(GateRules):
    """A second training from the record."""

    max_difference: AtMost = Field(description="Largest difference of any prediction.")
    max_unrecorded: AtMost = Field(
        description="Files and services that the training may read and that are not in the record."
    )


class MetricThresholdRules(GateRules):
    """The spec's own thresholds, held by the bound and not by the point."""

    confidence: Confidence = Field(description="One-sided: that of the bound that has to pass.")
    min_thresholds: AtLeast = Field(description="Thresholds that a spec must set.")
    thresholds: dict[Metric, Limit] = Field(
        {}, description="Bounds by metric; a spec adds its own as evaluation.thresholds."
    )

    def limits(self) -> dict[str, tuple[Way, float]]:
        """Return the limits that are set, those of ``roc_auc`` as ``roc_auc.min`` and ``roc_auc.max``."""
        found = super().limits()
        for metric, limit in self.thresholds.items():
            if limit.min is not None:
                found[f"{metric}.min"] = ("higher", limit.min)
            if limit.max is not None:
                found[f"{metric}.max"] = ("lower", limit.max)
        return found


class ChampionComparisonRules(GateRules):
    """Better than what serves, on rows that neither has seen."""

    confidence: AtLeast = Field(
        description="That the gain is real, however often the same hold-out was used before."
    )
    min_gain: Annotated[float, Stricter("higher"), Field(ge=0)] = Field(
        description="Gain of the primary metric that must be shown."
    )
    min_rows: AtLeast = Field(description="Common rows that a comparison needs.")
    # Evidence that was signed before it could be weighed has to be what it was, digest and all.
    weighs_expectation: Annotated[bool, Stricter("lower")] = Field(
        False,
        description="Whether what a training was expected to gain counts towards that confidence, of a "
        "challenger that is better on these rows.",
        exclude_if=lambda weighs: not weighs,
    )

    def limits_for(self, measured: Collection[str]) -> dict[str, tuple[Way, float]]:
        """Return the limits, with the confidence held by rows and expectation together where these count.

        The confidence by the rows alone is measured always, so that a policy that weighs no more can judge
        what one that did has let through; and where no expectation was known, it is what counts.
        """
        limits = self.limits()
        if self.weighs_expectation and WEIGHED in measured and "confidence" in limits:
            return {WEIGHED if name == "confidence" else name: limit for name, limit in limits.items()}
        return limits


class SliceRules(GateRules):
    """What predictions promise every group alike: that differences mean something, and the right level."""

    max_shortfall: AtMost = Field(
        description="Share of what differences of predictions mean elsewhere that a group may certainly "
        "lack; at 1 they mean nothing there."
    )
    max_bias: AtMost = Field(
        description="By how much more than elsewhere a group's mean prediction may certainly be off, in "
        "standard deviations of the target."
    )
    confidence: _ConfidenceOfHarm = Field(description="Of the lower bounds of all groups together.")
    min_rows: _FewestRows = Field(description="Rows a group needs to be judged.")


class FairnessRules(GateRules):
    """Gaps between groups of people, by their lower bounds.

    Of values, which nobody is decided about, the gaps are those of the mean prediction, of the mean
    underprediction (tpr) and of the mean overprediction (fpr), in standard deviations of the target.
    """

    min_groups: AtLeast = Field(description="Columns of groups that a spec must declare.")
    max_demographic_parity_gap: AtMost = Field(description="Gap of the rate of positive decisions.")
    max_tpr_gap: AtMost = Field(description="Gap of the true positive rate.")
    max_fpr_gap: AtMost = Field(description="Gap of the false positive rate.")
    max_equalized_odds_gap: AtMost = Field(description="The larger of the two.")
    confidence: _ConfidenceOfHarm = Field(description="Of the bounds of all gaps of all columns together.")
    min_rows: _FewestRows = Field(description="Rows a group needs to be judged.")


class CalibrationRules(GateRules):
    """Whether a prediction means what it says."""

    max_error: AtMost = Field(
        description="Expected calibration error that chance does not explain; of values in units of two "
        "standard deviations of the target."
    )
    confidence: _ConfidenceOfHarm = Field(description="One-sided, of all lower bounds together.")


class RobustnessRules(GateRules):
    """What small and large faults of the input do."""

    max_noise_loss: AtMost = Field(description="Loss of the primary metric under small noise, relative.")
    max_noise_change: AtMost = Field(
        description="How far small noise moves predictions, relative to how much they differ."
    )
    max_missing_loss: AtMost = Field(description="Loss when a nullable value is missing, relative.")
    max_silent_unit_errors: AtMost = Field(
        description="Features in which a unit error does harm and the declared range does not stop it."
    )
    max_stress_change: AtMost = Field(description="Share of predictions one feature alone may overturn.")
    max_evasion: AtMost = Field(description="Share of decisions a small change of a row turns.")
    query_budget: Annotated[int, Stricter("higher"), Field(ge=1)] = Field(
        description="Predictions the evasion attack may ask for, for each row."
    )
    confidence: _ConfidenceOfHarm = Field(description="Of the bounds that have to be beyond a limit.")


class ExplanationRules(GateRules):
    """What the predictions rest on."""

    max_top_share: AtMost = Field(description="Share of all attribution that one feature may have.")
    min_stability: AtLeast = Field(description="Rank correlation of the importances with the champion's.")


class ServingBudgetRules(GateRules):
    """Latency and size on the runtime that serves."""

    max_p99_ms: AtMost = Field(description="99th percentile of one row's prediction, milliseconds.")
    max_size_mb: AtMost = Field(description="Size of the packaged model, megabytes.")


class CostRules(GateRules):
    """What predictions cost."""

    max_per_1000: AtMost = Field(description="Cost of 1,000 predictions, in the currency of the price.")
    price_per_cpu_hour: Annotated[float, Stricter("unchanged"), Field(ge=0)]


class ComponentRules(GateRules):
    """The environment's components, their licences and known vulnerabilities."""

    max_denied: AtMost = Field(description="Components under a denied licence.")
    max_vulnerable: AtMost = Field(
        description="Components with a known vulnerability; needs a file of advisories."
    )
    denied_licences: Annotated[tuple[SpdxLicence, ...], Stricter("more")] = Field(
        description="SPDX identifiers."
    )
    advisories: Annotated[Path | None, Stricter("unchanged")] = Field(
        description="File of known vulnerabilities (OSV, JSON), relative to the policy's folder."
    )


CardSection = Literal["purpose", "owner", "limits", "groups", "residual_risks"]


class ModelCardRules(GateRules):
    """What a person has to be told of a model."""

    max_missing: AtMost = Field(description="Demanded sections that may be missing.")
    sections: Annotated[tuple[CardSection, ...], Stricter("more")]


class SmokeTestRules(GateRules):
    """The endpoint answers."""

    max_failed: AtMost = Field(description="Requests that may fail.")


class ParityRules(GateRules):
    """The endpoint answers what the offline evaluation computed."""

    max_difference: AtMost = Field(description="Largest difference of any prediction.")


class Gates(Part):
    """The gates, in the order models meet them."""

    data_contract: DataContractRules
    feature_verification: FeatureVerificationRules
    label_noise: LabelNoiseRules
    reproducibility: ReproducibilityRules
    components: ComponentRules
    metric_thresholds: MetricThresholdRules
    champion_comparison: ChampionComparisonRules
    slices: SliceRules
    fairness: FairnessRules
    calibration: CalibrationRules
    robustness: RobustnessRules
    explanations: ExplanationRules
    serving_budget: ServingBudgetRules
    cost: CostRules
    model_card: ModelCardRules
    smoke_test: SmokeTestRules
    online_offline_parity: ParityRules

    def of(self, gate: str) -> GateRules:
        """Return what is demanded of a gate.

        Raises:
            KeyError: There is no such gate.
        """
        if gate not in type(self).model_fields:
            raise KeyError(gate)
        rules: GateRules = getattr(self, gate)
        return rules


AT_THE_ENDPOINT = ("smoke_test", "online_offline_parity")
EVIDENT = tuple(name for name in Gates.model_fields if name not in AT_THE_ENDPOINT)
