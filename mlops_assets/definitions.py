"""What Dagster loads: the defs folder, in which every model and the fleet's automation live."""

import importlib
from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of the whole fleet."""
    # From the module and not from the project's files, which an installed package does not have.
    tree = dg.ComponentTree.from_module(
        defs_module=importlib.import_module("mlops_assets.defs"),
        project_root=Path(__file__).parent.parent,
    )
    return tree.build_defs()
