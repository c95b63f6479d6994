"""What Dagster loads: the defs folder, in which every model and the fleet's automation live."""

from pathlib import Path

import dagster as dg

from mlops_assets.components.defs_folder import load_defs_folder


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of the whole fleet."""
    fleet = load_defs_folder("mlops_assets.defs", Path(__file__).parent.parent)
    # What the UI's Materialize uses: a process a step would spend its time importing libraries.
    return dg.Definitions.merge(fleet, dg.Definitions(executor=dg.in_process_executor))
