"""SPDX expressions: one form for each, and denied only where no choice is left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlops_assets.specs.gate_rules import ComponentRules
from mlops_assets.specs.spdx import canonical, is_denied

LICENCES = ("MIT", "Apache-2.0", "BSD-3-Clause", "AGPL-3.0-only", "GPL-2.0-only WITH Classpath-exception-2.0")


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("mit", "MIT"),
        ("mit or apache-2.0", "MIT OR Apache-2.0"),
        ("AGPL-3.0", "AGPL-3.0-only"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("LGPL-2.1-or-later", "LGPL-2.1-or-later"),
        ("MIT AND (gpl-3.0 OR lgpl-2.1+)", "MIT AND (GPL-3.0-only OR LGPL-2.1-or-later)"),
        ("GPL-2.0-with-classpath-exception", "GPL-2.0-with-classpath-exception"),
    ],
)
def test_an_expression_has_one_form(written: str, form: str) -> None:
    assert canonical(written) == form
    assert canonical(form) == form


@pytest.mark.parametrize(
    "written", ["", "BSD", "AGPL3", "MIT/Apache-2.0", "MIT AND", "(MIT", "MIT OR OR MIT"]
)
def test_what_is_no_expression_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="icense"):
        canonical(written)


@pytest.mark.parametrize(
    ("expression", "denied"),
    [
        ("AGPL-3.0-only", True),
        ("MIT OR AGPL-3.0-only", False),
        ("MIT AND AGPL-3.0-only", True),
        ("AGPL-3.0-only OR SSPL-1.0", True),
        ("MIT OR Apache-2.0 AND AGPL-3.0-only", False),  # AND binds closer
        ("(MIT OR Apache-2.0) AND AGPL-3.0-only", True),
        ("AGPL-3.0-or-later", False),  # a licence of its own, to be named as such
        ("AGPL-3.0-only WITH Classpath-exception-2.0", False),
    ],
)
def test_denied_is_what_leaves_no_other_choice(expression: str, denied: bool) -> None:
    assert is_denied(expression, ("AGPL-3.0-only", "SSPL-1.0")) is denied


Tree = str | tuple[str, list["Tree"]]
trees = st.recursive(
    st.sampled_from(LICENCES),
    lambda inner: st.tuples(st.sampled_from(("AND", "OR")), st.lists(inner, min_size=1, max_size=3)),
    max_leaves=8,
)


def written(tree: Tree) -> str:
    return tree if isinstance(tree, str) else f"({f' {tree[0]} '.join(map(written, tree[1]))})"


def leaves_no_choice(tree: Tree, denied: set[str]) -> bool:
    if isinstance(tree, str):
        return tree in denied
    parts = [leaves_no_choice(part, denied) for part in tree[1]]
    return any(parts) if tree[0] == "AND" else all(parts)


@given(tree=trees, denied=st.sets(st.sampled_from(LICENCES)))
def test_any_expression_means_what_its_tree_means(tree: Tree, denied: set[str]) -> None:
    assert is_denied(canonical(written(tree)), denied) is leaves_no_choice(tree, denied)


RULES = {"required": True, "max_denied": 0, "max_vulnerable": None, "advisories": None}


def test_a_policy_denies_licences_in_the_form_they_are_compared_in() -> None:
    rules = ComponentRules.model_validate({**RULES, "denied_licences": ["agpl-3.0", "GPL-3.0+"]})
    assert rules.denied_licences == ("AGPL-3.0-only", "GPL-3.0-or-later")


@pytest.mark.parametrize(
    ("name", "says"),
    [("AGPL3", "is no SPDX licence identifier"), ("MIT OR AGPL-3.0-only", "name each by itself")],
)
def test_a_policy_cannot_deny_what_no_component_could_have(name: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ComponentRules.model_validate({**RULES, "denied_licences": [name]})
