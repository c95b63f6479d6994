"""The loops of distances between profiles, compiled. Import it inside functions only."""

from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.monitoring.profiles.compiled import compiled

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

# Powers that are summed up.
_TERMS = 4


@compiled("Tuple((f8, f8))(f8[::1], i8[::1], f8[::1], i8[::1])")
def distances(a: "Array", a_counts: "Array", b: "Array", b_counts: "Array") -> tuple[float, float]:
    """Return the greatest and the whole area between two distribution functions: KS and Wasserstein-1."""
    n, m = a_counts.sum(), b_counts.sum()
    below_a = below_b = i = j = 0
    furthest = area = 0.0
    at = min(a[0], b[0])
    while i < len(a) or j < len(b):
        value = a[i] if j == len(b) or (i < len(a) and a[i] <= b[j]) else b[j]
        apart = abs(below_a / n - below_b / m)
        area += apart * (value - at)
        at = value
        if i < len(a) and a[i] == value:
            below_a += a_counts[i]
            i += 1
        if j < len(b) and b[j] == value:
            below_b += b_counts[j]
            j += 1
        furthest = max(furthest, abs(below_a / n - below_b / m))
    return furthest, area


@compiled("f8[::1](f8[::1], i8[::1], f8[::1])")
def histogram(values: "Array", counts: "Array", edges: "Array") -> "Array":
    """Return how many of a sorted multiset lie in each bin; the last one holds all that is left."""
    found = np.zeros(len(edges) - 1)
    first = np.searchsorted(values, edges[0])
    for i in range(len(found)):
        last = np.searchsorted(values, edges[i + 1]) if i < len(found) - 1 else len(values)
        inside = 0
        for j in range(first, last):
            inside += counts[j]
        found[i], first = inside, last
    return found


@compiled("Tuple((f8, f8, i8))(f8[::1], f8[::1], f8)")
def divergences(reference: "Array", current: "Array", none: float) -> tuple[float, float, int]:
    """Return PSI and Jensen-Shannon divergence of counts, and in how many places there are any.

    Args:
        reference: Shape (n,).
        current: Shape (n,).
        none: What stands for a share of none in the PSI, or a millionth of the least share if that is less.
    """
    n, m = reference.sum(), current.sum()
    least_p = least_q = 1.0
    for i in range(len(reference)):
        if reference[i] > 0:
            least_p = min(least_p, reference[i] / n)
        if current[i] > 0:
            least_q = min(least_q, current[i] / m)
    none_p = least_p / 10**6 if least_p <= none else none
    none_q = least_q / 10**6 if least_q <= none else none
    psi = divergence = 0.0
    taken = 0
    for i in range(len(reference)):
        p, q = reference[i] / n, current[i] / m
        taken += p + q > 0
        filled_p, filled_q = p if p > 0 else none_p, q if q > 0 else none_q
        psi += (filled_p - filled_q) * np.log(filled_p / filled_q)
        if p > 0:
            divergence += p * np.log(2 * p / (p + q))
        if q > 0:
            divergence += q * np.log(2 * q / (p + q))
    return psi, max(divergence / 2, 0.0), taken


@compiled("Tuple((f8, f8))(f8[::1], i8[::1])")
def bridge_area(values: "Array", counts: "Array") -> tuple[float, float]:
    """Return mean and variance of the area under a Brownian bridge's absolute value over a distribution.

    It is a sum of magnitudes of jointly normal values, one for each gap between values. The covariance of two
    is a series of even powers of their correlation (Nabeya, "Absolute moments in 2-dimensional normal
    distribution", 1951). A bridge's correlation is a product over what lies between, so each power is summed
    up in one pass. What follows the last one that is summed up is less than a hundredth of the variance.

    Args:
        values: Distinct, ascending; two at least. The area is measured by the span of all of them.
        counts: How often each occurs.
    """
    total, span = counts.sum(), values[-1] - values[0]
    before, sums = np.zeros(_TERMS), np.zeros(_TERMS)
    mean = own = last_weight = last_odds = 0.0
    below = 0
    for i in range(len(values) - 1):
        below += counts[i]
        odds = below / (total - below)
        weight = (values[i + 1] - values[i]) / span * np.sqrt(below * 1.0 * (total - below)) / total
        ratio, power = last_odds / odds, 1.0
        for k in range(_TERMS):
            power *= ratio
            before[k] = power * (before[k] + last_weight)
            sums[k] += weight * before[k]
        mean += weight
        own += weight * weight
        last_odds, last_weight = odds, weight
    # The series of sqrt(1 - r**2) + r * arcsin(r) - 1, of which the sum at r = 1 is known.
    variance, coefficient = own * (np.pi / 2 - 1), 0.5
    for k in range(_TERMS):
        variance += 2 * coefficient * sums[k]
        coefficient *= (2 * k + 1) ** 2 / ((2 * k + 3) * (2 * k + 4) * 1.0)
    return np.sqrt(2 / np.pi) * mean, 2 / np.pi * variance


@compiled("f8(i8, i8, f8)")
def beyond(n: int, m: int, distance: float) -> float:
    """Return the probability that two samples of one continuous distribution are at least so far apart.

    Counts lattice paths that touch the bounds, one row of the lattice at a time and only between them
    (Schröer and Trenkler, "Exact and randomization distributions of Kolmogorov-Smirnov tests two or three
    samples", 1995).

    Args:
        n: Size of one sample.
        m: Size of the other.
        distance: Kolmogorov-Smirnov distance.
    """
    # Distances are multiples of 1 / (n * m); half of one keeps rounding out of the comparison.
    bound = distance - 0.5 / (n * m)
    row = np.ones(m + 1)
    for i in range(n + 1):
        first = max(0, int(np.floor((i / n - bound) * m)) - 1)
        last = min(m, int(np.ceil((i / n + bound) * m)) + 1)
        # What lies beyond the bounds has touched them.
        if first > 0:
            row[first - 1] = 1.0
        for j in range(first, last + 1):
            if abs(i / n - j / m) >= bound:
                row[j] = 1.0
            elif i == 0 and j == 0:
                row[j] = 0.0
            elif i == 0:
                row[j] = row[j - 1]
            elif j == 0:
                pass
            else:
                row[j] = (i * row[j] + j * row[j - 1]) / (i + j)
        if last < m:
            row[last + 1] = 1.0
    return row[m]  # type: ignore[no-any-return]
