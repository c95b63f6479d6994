"""What a caller may do and know: what is in scope, and not that there is anything else."""

from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.serving.callers import ANONYMOUS, EMBEDDED, EVERY_MODEL, PLATFORM, PROBE, RIGHTS, Caller
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.table import Route, Table

models = st.sampled_from(["a", "b", "c", "ab"])
callers = st.builds(
    Caller,
    name=st.just("somebody"),
    models=st.frozensets(models | st.just(EVERY_MODEL)),
    rights=st.frozensets(st.sampled_from(RIGHTS)),
)


def table(*names: str) -> Table:
    routes = {name: Route(None, {}, {}) for name in names}
    problems = [*(Problem("load_failed", name, "1", "broken") for name in names)]
    return Table(MappingProxyType(routes), (*problems, Problem("registry_unreachable", None, None, "gone")))


@given(callers, st.sampled_from(RIGHTS), models)
def test_a_right_counts_for_the_models_in_scope_and_no_other(caller: Caller, right: str, model: str) -> None:
    in_scope = model in caller.models or EVERY_MODEL in caller.models
    assert caller.may(right, model) == (right in caller.rights and in_scope)


@given(callers, st.sampled_from(RIGHTS))
def test_to_all_models_together_only_who_has_all_in_scope_has_a_right(caller: Caller, right: str) -> None:
    assert caller.may(right, EVERY_MODEL) == (right in caller.rights and EVERY_MODEL in caller.models)


@given(callers, st.frozensets(models))
def test_a_view_holds_what_is_in_scope_and_is_served(caller: Caller, served: frozenset[str]) -> None:
    whole = table(*served)
    view = caller.view(whole)
    if EVERY_MODEL in caller.models:
        assert view is whole
        return
    assert set(view.routes) == served & caller.models
    assert {problem.model for problem in view.problems} == served & caller.models


@given(callers, models, st.frozensets(models), st.frozensets(models))
def test_what_else_is_served_makes_no_difference_to_what_is_refused(
    caller: Caller, asked: str, some: frozenset[str], others: frozenset[str]
) -> None:
    """Neither by the refusal itself nor by a name that it suggests."""

    def said(served: frozenset[str]) -> str | None:
        try:
            caller.require("predict", asked)
            caller.view(table(*served)).route(asked)
        except Refusal as refusal:
            return f"{refusal.status} {refusal}"
        return None

    if EVERY_MODEL not in caller.models and some & caller.models == others & caller.models:
        assert said(some) == said(others)


@pytest.mark.parametrize("model", ["secret", None, EVERY_MODEL])
def test_a_refusal_says_what_is_lacking(model: str | None) -> None:
    caller = Caller("somebody", frozenset(["a"]), frozenset())
    with pytest.raises(Refusal) as refused:
        caller.require("see", model)
    assert refused.value.status == 403
    assert "see" in str(refused.value)


def test_only_the_platform_is_believed_to_be_the_platform() -> None:
    assert PLATFORM.may(PROBE)
    assert EMBEDDED.may(PROBE)  # where whoever calls runs the platform
    assert not ANONYMOUS.may(PROBE)
