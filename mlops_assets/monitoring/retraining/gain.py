"""What a retraining can be expected to gain, learned from what earlier ones gained.

A gain is the logarithm of the old loss over the new one, so that gains of any metric compare and gains in a
row add up. Losses fall with the rows that are learned from as a power of their number, so the gain of a
retraining is proportional to the logarithm of how much more rows there are; to it comes a share of what the
champion has lost since its hold-out. Both coefficients are the model's own. They are learned by Bayesian
linear regression from the model's retrainings, that were compared on rows unseen by either version. The prior
is learned from the fleet's (empirical Bayes), and where there are none it is :data:`PLATFORM`.

Source: Hestness et al., "Deep Learning Scaling is Predictable, Empirically" (2017), and Viering and Loog,
"The Shape of Learning Curves: a Review", IEEE TPAMI 45 (2023), for the power; Efron and Morris, "Stein's
Estimation Rule and Its Competitors: an Empirical Bayes Approach", JASA 68 (1973), for shrinking towards the
fleet.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlops_assets.evaluation.expectation import Expectation

# How far the gain of a window lies from what the coefficients say, beyond the noise of its rows.
WINDOW_SPREAD = 0.05
_SCALES = (0.03, 0.1, 0.3, 1.0, 3.0)


@dataclass(frozen=True)
class Outcome:
    """What a retraining gained.

    Attributes:
        growth: Logarithm of the rows it learned from, over those that the replaced version learned from.
        excess: Logarithm of the replaced version's measured loss over that on its hold-out; 0 if not above.
        gain: Logarithm of the replaced version's loss over the new one's, on rows that neither had seen.
        error: Its standard error.
    """

    growth: float
    excess: float
    gain: float
    error: float


@dataclass(frozen=True)
class Coefficients:
    """Gain by growth and by excess: means, variances and their covariance."""

    growth: float
    excess: float
    growth_variance: float
    excess_variance: float
    covariance: float = 0.0

    def predict(self, growth: float, excess: float) -> tuple[float, float]:
        """Return the expected gain and the variance of that expectation."""
        mean = self.growth * growth + self.excess * excess
        variance = (
            self.growth_variance * growth**2
            + self.excess_variance * excess**2
            + 2 * self.covariance * growth * excess
        )
        return mean, max(variance, 0.0)

    def learn(self, outcome: Outcome) -> "Coefficients":
        """Return what they are after one more retraining."""
        mean, variance = self.predict(outcome.growth, outcome.excess)
        total = variance + outcome.error**2 + WINDOW_SPREAD**2
        towards_growth = self.growth_variance * outcome.growth + self.covariance * outcome.excess
        towards_excess = self.covariance * outcome.growth + self.excess_variance * outcome.excess
        missed = outcome.gain - mean
        return Coefficients(
            self.growth + towards_growth * missed / total,
            self.excess + towards_excess * missed / total,
            self.growth_variance - towards_growth**2 / total,
            self.excess_variance - towards_excess**2 / total,
            self.covariance - towards_growth * towards_excess / total,
        )

    def spread(self, scale: float) -> "Coefficients":
        """Return the same means with the platform's variances times a scale."""
        return Coefficients(
            self.growth, self.excess, PLATFORM.growth_variance * scale, PLATFORM.excess_variance * scale
        )


# Where nothing has been learned yet: twice the rows gain about 5 % of the loss, and a retraining takes back a
# tenth of what was lost; either may well be nothing.
PLATFORM = Coefficients(0.07, 0.1, 0.07**2, 0.1**2)


@dataclass(frozen=True)
class ExpectedGain:
    """What a training now can be expected to gain.

    Attributes:
        share: Share of the loss, as a logarithm; see the module.
        error: Standard error of that expectation.
        own: From how many retrainings of the model it is learned.
        fleet: From how many of other models.
        growth: Logarithm of the rows known now over those learned from.
        excess: Logarithm of the measured loss over the hold-out's; 0 if not above.
        loss: The champion's loss, in the primary metric; None if none is measured.
    """

    share: float
    error: float
    own: int
    fleet: int
    growth: float
    excess: float
    loss: float | None = None

    @property
    def metric(self) -> float | None:
        """The gain in units of the primary metric."""
        return None if self.loss is None else self.loss * (1 - math.exp(-self.share))

    @property
    def expectation(self) -> Expectation:
        """What the gain in one window is expected to be, for weighing it with what that window shows."""
        return Expectation(self.share, math.hypot(self.error, WINDOW_SPREAD), self.basis)

    @property
    def basis(self) -> str:
        """What the expectation rests on, for people."""
        learned = f"{self.own} of its own retrainings and {self.fleet} of the fleet's"
        return f"{math.exp(self.growth):.2f} times the rows; learned from {learned}"


@dataclass(frozen=True)
class Fleet:
    """What a fleet's retrainings have taught; computed once for all of its models.

    Attributes:
        scale: How much models differ, in variances of the platform's.
        taught: By model, what its retrainings say of the fleet's mean.
        everybody: The sum of these.
        retrainings: How many there were, by model.
    """

    scale: float
    taught: Mapping[str, "_Information"]
    everybody: "_Information"
    retrainings: Mapping[str, int]

    def prior(self, model: str | None = None) -> Coefficients:
        """Return what is to be expected of a model of which nothing is known but the others of its fleet."""
        others = self.everybody
        if model is not None and model in self.taught:
            others = others.plus(self.taught[model], -1)
        centre = others.coefficients()
        apart = centre.spread(self.scale)
        # The fleet's mean is itself not known surely.
        return Coefficients(
            centre.growth,
            centre.excess,
            apart.growth_variance + centre.growth_variance,
            apart.excess_variance + centre.excess_variance,
        )

    def others(self, model: str) -> int:
        """Return from how many retrainings of other models it has learned."""
        return sum(self.retrainings.values()) - self.retrainings.get(model, 0)


def fleet_of(outcomes: Mapping[str, Sequence[Outcome]]) -> Fleet:
    """Return what a fleet's retrainings have taught.

    How much models differ is the scale, out of a few, under which the outcomes are the least surprising.

    Args:
        outcomes: Of all retrainings whose gain is known by now, by model, in order of time.
    """
    known = {name: own for name, own in sorted(outcomes.items()) if own}
    fleets = [_fleet(known, scale) for scale in _SCALES]
    if not known:
        return fleets[_SCALES.index(1.0)]
    return max(fleets, key=lambda fleet: _likelihood(fleet.prior(), known.values()))


def own_coefficients(prior: Coefficients, outcomes: Iterable[Outcome]) -> Coefficients:
    """Return a model's coefficients, from the fleet's and its own retrainings."""
    found = prior
    for outcome in outcomes:
        found = found.learn(outcome)
    return found


def expect_gain(
    fleet: Fleet,
    model: str,
    own: Sequence[Outcome],
    *,
    growth: float,
    excess: float = 0.0,
    loss: float | None = None,
) -> ExpectedGain:
    """Return what a training of a model now can be expected to gain.

    Args:
        fleet: What the fleet has taught.
        model: Name of the model.
        own: What its own retrainings gained, as far as is known by now.
        growth: Logarithm of the rows known now over those that its newest version learned from.
        excess: Logarithm of its measured loss over that on its hold-out; 0 if not above.
        loss: Its measured loss; see :func:`mlops_assets.monitoring.retraining.history.loss_of`.
    """
    mean, variance = own_coefficients(fleet.prior(model), own).predict(growth, excess)
    return ExpectedGain(mean, math.sqrt(variance), len(own), fleet.others(model), growth, excess, loss)


@dataclass(frozen=True)
class _Information:
    """What outcomes say of coefficients, as sums over them, so that it can be added and taken away."""

    growths: float = 0.0
    excesses: float = 0.0
    both: float = 0.0
    gain_growth: float = 0.0
    gain_excess: float = 0.0

    def plus(self, other: "_Information", sign: int = 1) -> "_Information":
        return _Information(
            self.growths + sign * other.growths,
            self.excesses + sign * other.excesses,
            self.both + sign * other.both,
            self.gain_growth + sign * other.gain_growth,
            self.gain_excess + sign * other.gain_excess,
        )

    def coefficients(self) -> Coefficients:
        """Return the coefficients, where the platform's are all that was known before."""
        a, c = self.growths + 1 / PLATFORM.growth_variance, self.excesses + 1 / PLATFORM.excess_variance
        u = self.gain_growth + PLATFORM.growth / PLATFORM.growth_variance
        v = self.gain_excess + PLATFORM.excess / PLATFORM.excess_variance
        whole = a * c - self.both**2
        return Coefficients(
            (c * u - self.both * v) / whole,
            (a * v - self.both * u) / whole,
            c / whole,
            a / whole,
            -self.both / whole,
        )


def _fleet(outcomes: Mapping[str, Sequence[Outcome]], scale: float) -> Fleet:
    taught = {name: _information(own, scale) for name, own in outcomes.items()}
    everybody = _Information()
    for each in taught.values():
        everybody = everybody.plus(each)
    return Fleet(scale, taught, everybody, {name: len(own) for name, own in outcomes.items()})


def _information(own: Sequence[Outcome], scale: float) -> _Information:
    found = _Information()
    for each in own:
        # One model's outcomes tell the fleet's mean no better than models differ, however many there are.
        _, apart = PLATFORM.spread(scale).predict(each.growth, each.excess)
        weight = 1 / (each.error**2 + WINDOW_SPREAD**2 + len(own) * apart)
        found = found.plus(
            _Information(
                weight * each.growth**2,
                weight * each.excess**2,
                weight * each.growth * each.excess,
                weight * each.growth * each.gain,
                weight * each.excess * each.gain,
            )
        )
    return found


def _likelihood(prior: Coefficients, outcomes: Iterable[Sequence[Outcome]]) -> float:
    """Return the logarithm of how likely outcomes are, up to a constant: each told by those before it."""
    likelihood = 0.0
    for own in outcomes:
        found = prior
        for outcome in own:
            mean, variance = found.predict(outcome.growth, outcome.excess)
            total = variance + outcome.error**2 + WINDOW_SPREAD**2
            likelihood -= 0.5 * (math.log(total) + (outcome.gain - mean) ** 2 / total)
            found = found.learn(outcome)
    return likelihood
