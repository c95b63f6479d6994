"""A step that makes one asset for each of many models looks up only once which assets these are."""

import dagster as dg


def settle_outputs(context: dg.AssetExecutionContext) -> None:
    """Have Dagster's context of this step remember which assets the step makes.

    Dagster 1.13 asks it for every output anew, and it goes through all outputs each time. With 1,000 assets
    that was half of the CPU time; the answer is the same as long as the step lasts.
    """
    step = context.get_step_execution_context()
    keys = step.get_output_asset_keys()
    vars(step)["get_output_asset_keys"] = lambda: keys
