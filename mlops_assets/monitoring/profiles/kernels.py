"""The loops of profiling that NumPy has no function for, compiled. Import it inside functions only."""

from typing import TYPE_CHECKING, Any

import numba as nb  # noqa: TID253  (this module is itself imported where it is used)
import numpy as np

from mlops_assets.monitoring.profiles.compiled import compiled

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

_MANTISSA = 52
# A table may be halved seven times.
_ALIGNMENT = 128
# How far a number may be from its place on average, for sorting by insertion to be quick.
_MOVES = 32
_MAGNITUDE = np.int64(0x7FFFFFFFFFFFFFFF)
_INFINITY = np.int64(0x7FF0000000000000)
_NORMAL = np.int64(0x0010000000000000)
# Arrow's arrays may be read and not written.
_values = nb.types.Array(nb.f8, 1, "C", readonly=True)
_floats, _numbers = nb.f8[::1], nb.i8[::1]


@compiled("Tuple((f8[::1], i8[::1]))(f8[::1])")
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


@compiled("Tuple((f8[::1], i8[::1]))(f8[::1], i8[::1], f8[::1], i8[::1])")
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


@compiled("i8(f8[::1], i8, i8)")
def level_fitting(values: "Array", level: int, most: int) -> Any:
    """Return the fewest last bits, ``level`` at least, without which a sorted array has no more values."""
    bits = values.view(np.int64)
    low, high = np.int64(level), np.int64(_MANTISSA)
    while low < high:
        middle = (low + high) >> 1
        distinct = np.int64(len(bits) > 0)
        for i in range(1, len(bits)):
            distinct += (bits[i] >> middle) != (bits[i - 1] >> middle)
        if distinct <= most:
            high = middle
        else:
            low = middle + 1
    return low


@compiled("Tuple((f8[::1], i8[::1]))(f8[::1], i8[::1], i8)")
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


@compiled(nb.types.Tuple((_floats, _numbers, nb.b1))(_values, nb.i8))
def counted(values: "Array", most: int) -> "tuple[Array, Array, bool]":
    """Return the distinct finite values of an array, unsorted, with counts; and whether that is all of them.

    It stops at one more than ``most``, when what it returns is of no use. Subnormal numbers count as zero.
    """
    digits = 1
    while 1 << digits < 2 * most:
        digits += 1
    slots = np.full(1 << digits, -1, np.int64)
    found = np.empty(most, np.int64)
    counts = np.empty(most, np.int64)
    distinct = 0
    mixer = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing: Knuth, TAOCP 3, section 6.4
    for bit in values.view(np.int64):
        size = bit & _MAGNITUDE
        if size >= _INFINITY:
            continue
        if size < _NORMAL:
            bit = np.int64(0)
        at = np.int64((np.uint64(bit) * mixer) >> np.uint64(64 - digits))
        while slots[at] >= 0 and found[slots[at]] != bit:
            at = (at + 1) & (len(slots) - 1)
        if slots[at] < 0:
            if distinct == most:
                return found.view(np.float64), counts, False
            slots[at] = distinct
            found[distinct] = bit
            counts[distinct] = 0
            distinct += 1
        counts[slots[at]] += 1
    return found[:distinct].copy().view(np.float64), counts[:distinct].copy(), True


@compiled(nb.types.Tuple((nb.i8,) * 8 + (nb.f8,) * 2)(_values))
def surveyed(values: "Array") -> tuple[Any, ...]:
    """Return what has to be known of numbers before they are counted, in passes without branches.

    Returns:
        How many are NaN, minus infinity, infinity, zero (or subnormal, which counts as zero) and negative;
        the bits of the least and the greatest magnitude of those that are none of these but negative; how
        many are subnormal. Then the least and the greatest finite number, of no use if there is none.
    """
    none: Any = np.int64(0)
    missing = below = above = zeros = negative = subnormal = none
    lowest, highest = _INFINITY, none
    low, high = _MAGNITUDE, -_MAGNITUDE
    bits = values.view(np.int64)
    for i in range(len(bits)):
        lowest, highest = min(lowest, bits[i] & _MAGNITUDE), max(highest, bits[i] & _MAGNITUDE)
    # Most columns have no zeros nor gaps, of which less is to be asked.
    is_plain = lowest >= _NORMAL and highest < _INFINITY
    for i in range(len(bits) if is_plain else 0):
        place = bits[i] ^ (_MAGNITUDE & (bits[i] >> 63))
        low, high = min(low, place), max(high, place)
        negative += np.int64(bits[i] < 0)
    if not is_plain:
        lowest, highest = _INFINITY, none
    for i in range(0 if is_plain else len(bits)):
        bit = bits[i]
        size = bit & _MAGNITUDE
        # Of "and" there would be a branch.
        is_finite, is_zero = size < _INFINITY, size < _NORMAL
        is_normal = (size < _INFINITY) & (size >= _NORMAL)
        missing += np.int64(size > _INFINITY)
        below += np.int64(bit == _INFINITY + ~_MAGNITUDE)
        above += np.int64(bit == _INFINITY)
        zeros += np.int64(is_zero)
        subnormal += np.int64(is_zero & (size != 0))
        negative += np.int64(is_normal & (bit < 0))
        lowest = min(lowest, size if size >= _NORMAL else _INFINITY)
        highest = max(highest, size if is_normal else none)
        # As whole numbers, bits are in the order of the numbers once those of negative ones are inverted.
        place = bit ^ (_MAGNITUDE & (bit >> 63))
        low = min(low, place if is_finite else _MAGNITUDE)
        high = max(high, place if is_finite else -_MAGNITUDE)
    ends = np.array([low ^ (_MAGNITUDE & (low >> 63)), high ^ (_MAGNITUDE & (high >> 63))]).view(np.float64)
    least, greatest = ends[0] + 0.0, ends[1] + 0.0  # no negative zero
    return missing, below, above, zeros, negative, lowest, highest, subnormal, least, greatest


@compiled(nb.types.Tuple((_floats, _numbers, nb.i8))(_values, *(nb.i8,) * 7))
def tabled(
    values: "Array",
    aside: int,
    zeros: int,
    negatives: int,
    lowest: int,
    highest: int,
    slots: int,
    most: int,
) -> "tuple[Array, Array, Any]":
    """Return numbers without the last bits that are too many, sorted, with counts; and how many these are.

    A table has a slot for each number that there can be between the smallest and the greatest magnitude,
    so one pass without comparisons does it. Then it is halved until no more than ``most`` slots are taken.
    If at first no more are, fewer bits may do, and the bits that are returned are -1. Infinities and NaN are
    left out.

    Args:
        values: At least one is neither zero nor left out.
        aside: How many are.
        zeros: Like the rest, as :func:`surveyed` tells.
        negatives: How many are negative.
        lowest: Bits of the least magnitude.
        highest: Bits of the greatest.
        slots: About the size of the table, which decides how many bits are dropped at least.
        most: How many distinct numbers there may be.
    """
    signs = 2 if negatives else 1
    level = np.int64(0)
    while (highest >> level) - (lowest >> level) >= slots // signs:
        level += 1
    # So aligned, pairs of slots are pairs of numbers as often as a table is halved.
    first = (lowest >> level) & ~np.int64(_ALIGNMENT - 1)
    width = ((highest >> level) - first + _ALIGNMENT) & ~np.int64(_ALIGNMENT - 1)
    # Slots of negative numbers come last, and then one for what is set aside.
    table = np.zeros(signs * width + 1, np.int32)
    last = np.uint64(signs * width)
    bits = values.view(np.int64)
    for i in range(0 if aside else len(bits)):
        table[np.uint64(((bits[i] & _MAGNITUDE) >> level) - first + ((bits[i] >> 63) & width))] += 1
    for i in range(len(bits) if aside else 0):
        size = bits[i] & _MAGNITUDE
        at = np.uint64((size >> level) - first + ((bits[i] >> 63) & width))
        table[at if _NORMAL <= size < _INFINITY else last] += 1
    taken = np.int64(zeros > 0)
    for i in range(signs * width):
        taken += table[i] > 0
    if taken <= most and level > 0:
        return np.empty(0), np.empty(0, np.int64), np.int64(-1)
    while taken > most:
        level, first, width = level + 1, first >> 1, width >> 1
        taken = np.int64(zeros > 0)
        for i in range(signs * width):
            both = table[2 * i] + table[2 * i + 1]
            table[i] = both
            taken += both > 0
    cells, counts = np.empty(taken + 1, np.int64), np.empty(taken + 1, np.int64)
    k = 0
    if negatives:
        for i in range(width - 1, -1, -1):  # those of greater magnitude first
            cells[k], counts[k] = ((first + i) << level) | ~_MAGNITUDE, table[width + i]
            k += table[width + i] > 0
    if zeros:
        cells[k], counts[k] = 0, zeros
        k += 1
    for i in range(width):
        cells[k], counts[k] = (first + i) << level, table[i]
        k += table[i] > 0
    return cells[:k].view(np.float64), counts[:k], level


@compiled(nb.types.Tuple((_floats, nb.b1))(_values, nb.i8, nb.i8, nb.i8, nb.i8))
def ordered(values: "Array", finite: int, lowest: int, highest: int, slots: int) -> "tuple[Array, bool]":
    """Return the finite ones of numbers, sorted, zero for subnormal ones; and whether they are.

    They are counted into slots by their first bits, laid out, and put in order where they share a slot. It
    gives up where too many different ones do.

    Args:
        values: At least one is neither zero nor left out.
        finite: Like the rest, as :func:`surveyed` tells.
        lowest: Bits of the least magnitude.
        highest: Bits of the greatest.
        slots: About the number of slots.
    """
    level = np.int64(0)
    while (highest >> level) - (lowest >> level) >= slots // 2:
        level += 1
    first = lowest >> level
    zero = (highest >> level) - first + 1
    starts = np.zeros(2 * zero + 2, np.int32)
    places = np.empty(len(values), np.int32)
    bits = values.view(np.int64)
    for i in range(len(bits)):
        size = bits[i] & _MAGNITUDE
        at = (size >> level) - first + 1
        at = np.int64(0) if size < _NORMAL else -at if bits[i] < 0 else at
        places[i] = zero + at if size < _INFINITY else 2 * zero + 1
        starts[places[i]] += 1
    before = np.int32(0)
    for i in range(len(starts)):
        starts[i], before = before, before + starts[i]
    laid = np.empty(len(values), np.float64)
    for i in range(len(values)):
        laid[starts[places[i]]] = 0.0 if places[i] == zero else values[i]
        starts[places[i]] += 1
    moves = _MOVES * finite
    for i in range(1, finite):
        value = laid[i]
        j = i
        while j > 0 and laid[j - 1] > value:
            laid[j] = laid[j - 1]
            j -= 1
        laid[j] = value
        moves -= i - j
        if moves < 0:
            return laid[:0], False
    return laid[:finite], True


@compiled("f8[::1](f8[::1], i8)")
def middles(floors: "Array", level: int) -> "Array":
    """Return the middle of each cell, of which all values but zero lost their last ``level`` bits."""
    half = np.int64(1) << (level - 1)
    found = np.empty(len(floors), np.int64)
    bits = floors.view(np.int64)
    for i in range(len(floors)):
        found[i] = bits[i] | (half if floors[i] != 0.0 else np.int64(0))
    return found.view(np.float64)
