"""The gates on serving: how long one prediction takes on the runtime that serves, how large, how dear."""

import time

from mlops_assets.evaluation.holdout import Holdout
from mlops_assets.specs.gate_rules import CostRules, ServingBudgetRules
from mlops_assets.verdict import Figure, Measurement

_BATCH = 1_000


def measure_serving_budget(holdout: Holdout, rules: ServingBudgetRules) -> Measurement:
    """Time single-row predictions of real hold-out rows, and weigh the package.

    Returns:
        What gate ``serving_budget`` measured; times are of the model alone, without HTTP and the log.
    """
    times, size = holdout.prediction_times, holdout.package.size / 1e6
    p50, p99 = times.p50 * 1000, times.p99 * 1000
    return Measurement(
        gate="serving_budget",
        summary=f"one row takes {p50:.2g} ms, {p99:.2g} ms in the worst of a hundred; {size:.3g} MB",
        figures=(
            Figure(name="p50 ms", value=p50),
            Figure(name="p99 ms", value=p99, limit="max_p99_ms"),
            Figure(name="calls timed", value=times.calls),
            Figure(name="size MB", value=size, limit="max_size_mb"),
        ),
    )


def measure_cost(holdout: Holdout, rules: CostRules) -> Measurement:
    """Count the processor time of predictions, one row at a time and in batches, and what that costs.

    Returns:
        What gate ``cost`` measured: the cost of 1,000 single-row predictions at the policy's price.
    """
    single = holdout.prediction_times.processor
    batch = holdout.rows.head(_BATCH)
    began = time.process_time()
    holdout.package.predict(batch)
    in_batch = (time.process_time() - began) / len(batch)
    cost = _per_1000(single, rules)
    return Measurement(
        gate="cost",
        summary=f"1,000 predictions take {single * 1000:.2g} s of a processor and cost {cost:.2g}",
        figures=(
            Figure(name="cost of 1,000 predictions", value=cost, limit="max_per_1000"),
            Figure(name="cost of 1,000 predictions in batches", value=_per_1000(in_batch, rules)),
            Figure(name="processor seconds for 1,000", value=single * 1000),
            Figure(name="price of a processor hour", value=rules.price_per_cpu_hour),
        ),
    )


def _per_1000(seconds: float, rules: CostRules) -> float:
    return seconds * 1000 / 3600 * rules.price_per_cpu_hour
