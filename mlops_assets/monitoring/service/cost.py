"""What predictions cost: processor time at the policy's price, and what else the spec names.

The gateway does not meter the processor by model: one process answers for many, and what a thread spends on a
request is not told apart. So the processor seconds of a prediction are those that gate ``cost`` measured of
the version on the runtime that serves, one row at a time or in batches, and a window's cost is how many rows
were answered in either way. The time that answers took, waiting included, is told beside it: what one thread
could not have exceeded.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mlops_assets.specs.monitoring_spec import ExternalCost


@dataclass(frozen=True)
class ProcessorTime:
    """What a version's predictions take, as gate ``cost`` measured it.

    Attributes:
        single: Processor seconds of a row asked for alone.
        in_batch: Processor seconds of a row among a thousand.
    """

    single: float
    in_batch: float


@dataclass(frozen=True)
class Cost:
    """What a window's predictions cost.

    Attributes:
        rows: Predictions.
        per_1000: Cost of a thousand of them, in the currency of the price; None if there were none, or if the
            processor time is not known.
        parts: What of it is for what, by name.
        busy_per_1000: What a thousand predictions would cost if the processor was busy for as long as answers
            took; None if that is not known.
        told: In one sentence, with what was measured.
        seconds: Processor seconds of all of them; None if that is not known.
    """

    rows: int
    per_1000: float | None
    parts: dict[str, float]
    busy_per_1000: float | None
    told: str
    seconds: float | None = None


def cost_of(
    single_rows: int,
    batch_rows: int,
    processor: ProcessorTime | None,
    price_per_cpu_hour: float,
    external: Sequence[ExternalCost] = (),
    busy_seconds: float | None = None,
) -> Cost:
    """Return what predictions cost.

    Args:
        single_rows: How many rows were answered over the network.
        batch_rows: How many rows were scored in files or streams.
        processor: What the version's predictions take; None if gate ``cost`` did not measure it.
        price_per_cpu_hour: The policy's price of a processor hour.
        external: What else a thousand predictions cost.
        busy_seconds: How long the answers took, all together.
    """
    rows = single_rows + batch_rows
    parts = {each.name: each.per_1000 for each in external}
    if not rows:
        return Cost(0, None, parts, None, "nothing was predicted")
    hourly = 1000 / rows / 3600 * price_per_cpu_hour
    busy = None if busy_seconds is None else busy_seconds * hourly
    if processor is None:
        return Cost(rows, None, parts, busy, "gate cost did not measure this version's processor time")
    seconds = single_rows * processor.single + batch_rows * processor.in_batch
    parts = {"processor": seconds * hourly, **parts}
    per_1000 = sum(parts.values())
    told = (
        f"1,000 predictions cost {per_1000:.2g}: "
        f"{', '.join(f'{name} {part:.2g}' for name, part in parts.items())} "
        f"(processor time as the gate measured it, for {rows:,} rows)"
    )
    return Cost(rows, per_1000, parts, busy, told, seconds)
