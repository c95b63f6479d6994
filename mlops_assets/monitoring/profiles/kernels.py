"""The loops of profiling that NumPy has no function for, compiled. Import it inside functions only.

Each goes once over sorted arrays, and takes about a nanosecond an element.
"""

from typing import TYPE_CHECKING, Any

import numba as nb  # noqa: TID253  (this module is itself imported where it is used)
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    Array = np.ndarray[Any, Any]

_SIGN = 64
_MAGNITUDE = np.int64(0x7FFFFFFFFFFFFFFF)
_INFINITY = np.int64(0x7FF0000000000000)
_NORMAL = np.int64(0x0010000000000000)
# Arrow's arrays may be read and not written.
_values = nb.types.Array(nb.f8, 1, "C", readonly=True)
_floats, _numbers = nb.f8[::1], nb.i8[::1]


def _compiled(signature: Any) -> "Callable[[Callable[..., Any]], Any]":
    """Compile when the module loads; kept beside the source where that is writable."""

    def compile_it(function: "Callable[..., Any]") -> Any:
        try:
            return nb.njit(signature, cache=True, nogil=True)(function)
        except RuntimeError:  # nowhere to keep it: a read-only image
            return nb.njit(signature, nogil=True)(function)

    return compile_it


@_compiled("Tuple((f8[::1], i8[::1]))(f8[::1])")
def runs(ordered: "Array") -> "tuple[Array, Array]":
    """Return the distinct values of a sorted array, and how often each occurs."""
    values = np.empty(len(ordered), np.float64)
    counts = np.empty(len(ordered), np.int64)
    last = -1
    for value in ordered:
        if last >= 0 and values[last] == value:
            counts[last] += 1
        else:
            last += 1
            values[last] = value
            counts[last] = 1
    return values[: last + 1].copy(), counts[: last + 1].copy()


@_compiled("Tuple((f8[::1], i8[::1]))(f8[::1], i8[::1], f8[::1], i8[::1])")
def merged(a: "Array", a_counts: "Array", b: "Array", b_counts: "Array") -> "tuple[Array, Array]":
    """Return two multisets, each of distinct sorted values with counts, as one."""
    values = np.empty(len(a) + len(b), np.float64)
    counts = np.empty(len(a) + len(b), np.int64)
    i = j = k = 0
    while i < len(a) and j < len(b):
        if a[i] < b[j]:
            values[k], counts[k] = a[i], a_counts[i]
            i += 1
        elif a[i] > b[j]:
            values[k], counts[k] = b[j], b_counts[j]
            j += 1
        else:
            values[k], counts[k] = a[i], a_counts[i] + b_counts[j]
            i += 1
            j += 1
        k += 1
    while i < len(a):
        values[k], counts[k] = a[i], a_counts[i]
        i += 1
        k += 1
    while j < len(b):
        values[k], counts[k] = b[j], b_counts[j]
        j += 1
        k += 1
    return values[:k].copy(), counts[:k].copy()


@_compiled("i8[::1](f8[::1])")
def parting_bits(values: "Array") -> "Array":
    """Return how many neighbours of a sorted array part at each bit; index 64 for the sign.

    Two numbers of one sign are the same without their last ``n`` bits if they part at a bit up to ``n``.
    """
    bits = values.view(np.int64)
    found = np.zeros(_SIGN + 1, np.int64)
    for i in range(1, len(bits)):
        differing = bits[i - 1] ^ bits[i]
        if differing < 0:
            found[_SIGN] += 1
            continue
        length = 0
        for step in (32, 16, 8, 4, 2, 1):
            if differing >> step:
                length += step
                differing >>= step
        found[length + differing] += 1
    return found


@_compiled("Tuple((f8[::1], i8[::1]))(f8[::1], i8[::1], i8)")
def coarsened(values: "Array", counts: "Array", level: int) -> "tuple[Array, Array]":
    """Return a multiset without the last ``level`` bits of its values."""
    keep = ~((np.int64(1) << level) - 1)
    bits = values.view(np.int64)
    kept = np.empty(len(values), np.int64)
    sums = np.empty(len(values), np.int64)
    last = -1
    for i in range(len(bits)):
        cell = bits[i] & keep
        if last >= 0 and kept[last] == cell:
            sums[last] += counts[i]
        else:
            last += 1
            kept[last] = cell
            sums[last] = counts[i]
    return kept[: last + 1].copy().view(np.float64), sums[: last + 1].copy()


@_compiled(nb.types.Tuple((_floats, _numbers, nb.b1))(_values, nb.i8))
def counted(values: "Array", most: int) -> "tuple[Array, Array, bool]":
    """Return the distinct values of an array, unsorted, with counts; and whether there are at most ``most``.

    It stops at one more than that, when what it returns is of no use.
    """
    digits = 1
    while 1 << digits < 2 * most:
        digits += 1
    slots = np.full(1 << digits, -1, np.int64)
    found = np.empty(most, np.float64)
    counts = np.empty(most, np.int64)
    distinct = 0
    bits = values.view(np.int64)
    mixer = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing: Knuth, TAOCP 3, section 6.4
    for i in range(len(values)):
        at = np.int64((np.uint64(bits[i]) * mixer) >> np.uint64(64 - digits))
        while slots[at] >= 0 and found[slots[at]] != values[i]:
            at = (at + 1) & (len(slots) - 1)
        if slots[at] < 0:
            if distinct == most:
                return found, counts, False
            slots[at] = distinct
            found[distinct] = values[i]
            counts[distinct] = 0
            distinct += 1
        counts[slots[at]] += 1
    return found[:distinct].copy(), counts[:distinct].copy(), True


@_compiled(nb.types.UniTuple(nb.i8, 8)(_values))
def surveyed(values: "Array") -> tuple[Any, ...]:
    """Return what has to be known of numbers before they are counted, in one pass.

    Returns:
        How many are NaN, minus infinity, infinity, zero (or subnormal, which counts as zero) and negative;
        the bits of the least and the greatest magnitude of the others; and whether any was subnormal.
    """
    bits = values.view(np.int64)
    missing = below = above = zeros = negative = subnormal = 0
    lowest, highest = _INFINITY, np.int64(0)
    for bit in bits:
        size = bit & _MAGNITUDE
        if size >= _INFINITY:
            if size > _INFINITY:
                missing += 1
            elif bit < 0:
                below += 1
            else:
                above += 1
        elif size < _NORMAL:
            zeros += 1
            subnormal |= bit != 0
        else:
            negative += bit < 0
            lowest = min(lowest, size)
            highest = max(highest, size)
    return missing, below, above, zeros, negative, lowest, highest, subnormal


@_compiled(nb.types.Tuple((_floats, _numbers, nb.i8))(_values, nb.i8, nb.i8, nb.i8, nb.i8, nb.i8))
def tabled(
    values: "Array", zeros: int, negatives: int, lowest: int, highest: int, slots: int
) -> "tuple[Array, Array, int]":
    """Return numbers without their last bits, sorted, with counts; and how many bits that were.

    A table has a slot for each number that there can be between the smallest and the greatest magnitude,
    so one pass without comparisons does it. Infinities and NaN are left out.

    Args:
        values: At least one is neither zero nor left out.
        zeros: Like the rest, as :func:`surveyed` tells.
        negatives: How many are negative.
        lowest: Bits of the least magnitude.
        highest: Bits of the greatest.
        slots: Size of the table, which decides how many bits are dropped.
    """
    bits = values.view(np.int64)
    signs = 2 if negatives else 1
    level: Any = 0
    while (highest >> level) - (lowest >> level) >= slots // signs:
        level += 1
    first = lowest >> level
    width = (highest >> level) - first + 1
    table = np.zeros(signs * width, np.int32)
    for bit in bits:
        size = bit & _MAGNITUDE
        if size < _NORMAL or size >= _INFINITY:
            continue
        at = (size >> level) - first
        # Negative numbers lie before the others, and those of greater magnitude first.
        if negatives:
            at = width - 1 - at if bit < 0 else width + at
        table[at] += 1
    distinct = 1 if zeros else 0
    for count in table:
        distinct += count > 0
    cells = np.empty(distinct, np.int64)
    counts = np.empty(distinct, np.int64)
    k = 0
    for at in range(len(table)):
        if zeros and at == (signs - 1) * width:
            cells[k], counts[k] = 0, zeros
            k += 1
        if not table[at]:
            continue
        if negatives and at < width:
            cells[k] = ((first + width - 1 - at) << level) | ~_MAGNITUDE
        else:
            cells[k] = (first + at - (signs - 1) * width) << level
        counts[k] = table[at]
        k += 1
    return cells.view(np.float64), counts, level


@_compiled("Tuple((f8, f8))(f8[::1], i8[::1], f8[::1], i8[::1])")
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


@_compiled("f8(i8, i8, f8)")
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
