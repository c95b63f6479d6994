"""Signed statements: one form, one kind, one key."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import EvidenceError
from mlops_assets.governance.envelope import seal, unseal
from mlops_assets.governance.signatures import Signer

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer.for_home(tmp_path_factory.mktemp("key"))


@given(value=values)
def test_what_was_sealed_is_read_again(value: Any, signer: Signer) -> None:
    assert unseal("kind/1", seal("kind/1", value, signer), signer.verifier) == value


@given(value=values, place=st.integers(0), byte=st.integers(1, 255))
def test_no_byte_of_it_can_be_changed(value: Any, place: int, byte: int, signer: Signer) -> None:
    content = bytearray(seal("kind/1", value, signer))
    content[place % len(content)] ^= byte
    with pytest.raises(EvidenceError):
        unseal("kind/1", bytes(content), signer.verifier)


@pytest.mark.parametrize(
    "changed",
    [
        lambda text: text + " ",
        lambda text: json.dumps(json.loads(text)),
        lambda text: json.dumps(json.loads(text) | {"note": 1}, separators=(",", ":"), sort_keys=True),
        lambda text: text.replace('=="', '"'),
        lambda text: text.replace('"signature":"', '"signature":" '),
        lambda text: text.replace('{"kind"', '{"kind":"other","kind"'),
    ],
)
def test_the_same_statement_in_another_form_is_none(changed: Any, signer: Signer) -> None:
    content = seal("kind/1", {"a": 1}, signer).decode()
    assert changed(content) != content
    with pytest.raises(EvidenceError):
        unseal("kind/1", changed(content).encode(), signer.verifier)


def test_another_kind_or_key_is_refused(signer: Signer, tmp_path: Path) -> None:
    content = seal("kind/1", 1, signer)
    with pytest.raises(EvidenceError, match="states 'kind/1', not 'kind/2'"):
        unseal("kind/2", content, signer.verifier)
    with pytest.raises(EvidenceError, match="is not signed with the platform key"):
        unseal("kind/1", content, Signer.for_home(tmp_path).verifier)
    renamed = content.replace(b"kind/1", b"kind/2")
    with pytest.raises(EvidenceError, match="is not signed with the platform key"):
        unseal("kind/2", renamed, signer.verifier)
