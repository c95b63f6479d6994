"""What a step remembers of its outputs changes nothing that Dagster says of them."""

from collections.abc import Iterator

import dagster as dg
import pytest

from mlops_assets.stages.step_outputs import settle_outputs


def _made(order: str, selection: list[str]) -> dg.ExecuteInProcessResult:
    """Make some of the assets ``a`` and ``b``, which is made of ``a``, in this order."""

    @dg.multi_asset(
        specs=[dg.AssetSpec("a", skippable=True), dg.AssetSpec("b", deps=["a"], skippable=True)],
        can_subset=True,
    )
    def look(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        settle_outputs(context)
        for key in order:
            yield dg.MaterializeResult(asset_key=key)

    return dg.materialize([look], selection=selection)


def test_assets_of_a_step_are_made_as_without_it() -> None:
    made = _made("ab", ["a", "b"]).asset_materializations_for_node("look")
    assert [m.asset_key.to_user_string() for m in made] == ["a", "b"]
    assert [
        m.asset_key.to_user_string() for m in _made("b", ["b"]).asset_materializations_for_node("look")
    ] == ["b"]


def test_an_asset_that_comes_before_what_it_is_made_of_is_still_an_error() -> None:
    with pytest.raises(dg.DagsterInvariantViolationError, match="before its dependency"):
        _made("ba", ["a", "b"])
