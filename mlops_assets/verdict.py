"""A gate's verdict: what was measured, what it was held against, what offended.

A gate measures and says so as figures, each naming the limit of the policy that it is held to. Whether it
passes is decided in one place, :func:`judge`, from those figures alone. So a verdict can be given again,
under another policy, without measuring again; and nobody has to believe a stored ``passed``.
"""

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from mlops_assets.specs.gate_rules import GateRules
from mlops_assets.specs.strictness import Way

Finding = dict[str, Any]

_BOUNDS = {"low": "lower", "high": "upper"}


class Figure(BaseModel):
    """One thing a gate measured.

    Attributes:
        name: What it is, such as ``tpr_gap sex``.
        value: The figure itself; None where it could not be measured.
        low: Lower bound of its interval, if it has one.
        high: Upper bound of its interval, if it has one.
        limit: Name of the limit in the gate's rules that it is held to; empty if it is only told.
        counts: Which of the three is held to the limit.
        note: What else there is to say, above all why there is no value.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    limit: str = ""
    counts: Literal["value", "low", "high"] = "value"
    note: str = ""

    @property
    def counted(self) -> float | None:
        """What is held to the limit."""
        figure: float | None = getattr(self, self.counts)
        return figure


class Measurement(BaseModel):
    """What a gate measured about one subject.

    Attributes:
        gate: Name of the gate.
        summary: One sentence for a person: what was found, whatever the limits are.
        figures: What was measured.
        findings: The offending rows, columns or groups, one flat record each.
        not_applicable: Why the gate has nothing to measure here; empty if it has.
        facts: What else has to be kept, such as the champion's version.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    gate: str
    summary: str
    figures: tuple[Figure, ...] = ()
    findings: tuple[Finding, ...] = ()
    not_applicable: str = ""
    facts: dict[str, Any] = {}


class Breach(BaseModel):
    """A limit that was not kept."""

    model_config = ConfigDict(frozen=True)

    figure: str
    says: str


class Verdict(BaseModel):
    """What one gate says of one subject under some rules.

    Attributes:
        measurement: What it measured.
        limits: The limits that were set, by name.
        breaches: Those that were not kept.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    measurement: Measurement
    limits: dict[str, float] = {}
    breaches: tuple[Breach, ...] = ()

    @property
    def gate(self) -> str:
        """Name of the gate."""
        return self.measurement.gate

    @property
    def passed(self) -> bool:
        """Whether the subject may go on."""
        return not self.breaches

    @property
    def summary(self) -> str:
        """One sentence for a person."""
        if self.passed:
            return self.measurement.summary
        told = "; ".join(breach.says for breach in self.breaches[:3])
        more = len(self.breaches) - 3
        return told + (f"; and {more} more" if more > 0 else "")


def unmeasured(gate: str, rules: GateRules, why: str) -> Measurement:
    """Return the measurement of a gate that ought to have measured and could not: no limit is kept."""
    figures = tuple(Figure(name=name, value=None, limit=name, note=why) for name in rules.limits())
    return Measurement(gate=gate, summary=why, figures=figures)


def judge(measurement: Measurement, rules: GateRules) -> Verdict:
    """Hold what a gate measured against its rules.

    A figure that is missing, not a number, or beyond its limit is a breach; so is a limit that nothing was
    measured for, unless the gate says why it does not apply.

    Args:
        measurement: What the gate measured.
        rules: What the policy demands of that gate.
    """
    limits = rules.limits_for({figure.limit for figure in measurement.figures})
    breaches: list[Breach] = []
    if not measurement.not_applicable:
        for name, (way, limit) in limits.items():
            held = [figure for figure in measurement.figures if figure.limit == name]
            if not held:
                breaches.append(Breach(figure=name, says=f"nothing was measured for {name}"))
            breaches += [b for figure in held if (b := _breach(figure, way, limit))]
    values = {name: limit for name, (_, limit) in limits.items()}
    return Verdict(measurement=measurement, limits=values, breaches=tuple(breaches))


def _breach(figure: Figure, way: Way, limit: float) -> Breach | None:
    counted = figure.counted
    if counted is None:
        return Breach(figure=figure.name, says=f"{figure.name}: {figure.note or 'was not measured'}")
    if math.isnan(counted):
        return Breach(figure=figure.name, says=f"{figure.name} is not a number")
    if counted <= limit if way == "lower" else counted >= limit:
        return None
    sign = "≤" if way == "lower" else "≥"
    return Breach(figure=figure.name, says=f"{_told(figure)} breaks {sign} {limit:.4g}")


def _told(figure: Figure) -> str:
    """Return a figure as a person reads it: with its interval, and the bound that counts."""
    told = f"{figure.name} {figure.value:.4g}" if figure.value is not None else figure.name
    if figure.counts != "value":
        told += f" ({_BOUNDS[figure.counts]} bound {figure.counted:.4g})"
    return told + (f", {figure.note}" if figure.note else "")
