"""A model's entries are proven to be in the chain, and nothing is told of other models."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.audit_proof import Proven, Stretch, proof_objections, prove
from mlops_assets.governance.signatures import Signer


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer.for_home(tmp_path_factory.mktemp("key"))


@pytest.fixture
def chain(tmp_path: Path, signer: Signer) -> AuditChain:
    return AuditChain(f"sqlite:///{tmp_path / 'fleet.db'}", tmp_path / "audit", lambda: signer)


def objections(proven: Proven, signer: Signer, model: str = "mine") -> list[str]:
    return list(proof_objections(proven.texts, proven.stretches, model, signer.verifier))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(models=st.lists(st.sampled_from(["mine", "theirs"]), max_size=30))
def test_every_entry_is_proven_wherever_it_stands(
    models: list[str], signer: Signer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("chain")
    chain = AuditChain(f"sqlite:///{folder / 'fleet.db'}", folder / "audit", lambda: signer)
    for number, model in enumerate(models):
        chain.append("promote", model, reason=f"{model} {number}")
    proven = prove(chain, "mine", signer.verifier)
    assert len(proven.texts) == models.count("mine")
    assert objections(proven, signer) == []
    told = "".join([*proven.texts, *(stretch.model_dump_json() for stretch in proven.stretches)])
    assert "theirs" not in told


def test_a_long_chain_needs_only_the_way_to_the_next_checkpoint(chain: AuditChain, signer: Signer) -> None:
    chain.append("promote", "mine")
    for _ in range(250):
        chain.append("promote", "theirs")
    chain.append("promote", "mine")
    proven = prove(chain, "mine", signer.verifier)
    assert objections(proven, signer) == []
    first, last = proven.stretches
    assert len(first.digests) <= 100
    assert (last.first, len(last.digests)) == (252, 1)


def test_an_entry_without_a_checkpoint_is_not_proven_until_somebody_vouches(
    chain: AuditChain, signer: Signer, tmp_path: Path
) -> None:
    chain.append("promote", "mine")
    keyless = AuditChain(f"sqlite:///{tmp_path / 'fleet.db'}", tmp_path / "audit")
    keyless.append("refuse", "mine")
    keyless.vouch()
    before = prove(chain, "mine", signer.verifier)
    assert objections(before, signer) == ["entry 2 is not covered by a signed checkpoint"]
    chain.vouch()
    assert objections(prove(chain, "mine", signer.verifier), signer) == []


def _stretch(proven: Proven, **changes: object) -> Proven:
    first, *rest = proven.stretches
    return proven._replace(stretches=(first.model_copy(update=changes), *rest))


def _other_head(proven: Proven) -> Proven:
    signed = proven.stretches[0].checkpoint
    checkpoint = signed.checkpoint.model_copy(update={"head": "0" * 64})
    return _stretch(proven, checkpoint=signed.model_copy(update={"checkpoint": checkpoint}))


TAMPERED: dict[str, tuple[Callable[[Proven], Proven], str]] = {
    "a text edited": (
        lambda p: p._replace(texts=(p.texts[0].replace("first", "worst"), *p.texts[1:])),
        "entry 1 is not the one in the chain",
    ),
    "an entry twice": (lambda p: p._replace(texts=(p.texts[0], *p.texts)), "entry 1 is out of order"),
    "entries in another order": (lambda p: p._replace(texts=p.texts[::-1]), "entry 1 is out of order"),
    "no entry at all": (lambda p: p._replace(texts=("{}", *p.texts)), "what follows entry 0 is no entry"),
    "a digest left out": (
        lambda p: _stretch(p, digests=p.stretches[0].digests[1:]),
        "the chain from entry 1 on does not end as signed on",
    ),
    "a digest added": (
        lambda p: _stretch(p, digests=(*p.stretches[0].digests, "0" * 64)),
        "the chain from entry 1 on does not end as signed on",
    ),
    "no digests": (
        lambda p: _stretch(p, digests=()),
        "the chain from entry 1 on does not end as signed on",
    ),
    "digests exchanged": (
        lambda p: _stretch(p, digests=p.stretches[0].digests[::-1]),
        "the chain from entry 1 on does not end as signed on",
    ),
    "another begin": (
        lambda p: _stretch(p, previous="1" * 64),
        "the chain from entry 1 on does not end as signed on",
    ),
    "moved along": (lambda p: _stretch(p, first=2), "the chain from entry 2 on does not end as signed on"),
    "another head": (_other_head, "the checkpoint at entry 3 is not signed with the platform key"),
    "no stretch": (lambda p: p._replace(stretches=()), "entry 1 is not covered by a signed checkpoint"),
}  # fmt: skip


@pytest.mark.parametrize("case", TAMPERED)
def test_a_proof_that_was_tampered_with_proves_nothing(case: str, chain: AuditChain, signer: Signer) -> None:
    change, said = TAMPERED[case]
    for model, reason in (("mine", "first"), ("theirs", "second"), ("mine", "third")):
        chain.append("promote", model, reason=reason)
    proven = prove(chain, "mine", signer.verifier)
    assert any(o.startswith(said) for o in objections(change(proven), signer))


def test_a_checkpoint_by_another_key_vouches_for_nothing(
    chain: AuditChain, signer: Signer, tmp_path: Path
) -> None:
    chain.append("promote", "mine")
    other = Signer.for_home(tmp_path / "other")
    found = objections(prove(chain, "mine", signer.verifier), other)
    assert found[0] == "the checkpoint at entry 1 is not signed with the platform key"


def test_entries_of_another_model_are_none_of_this_one(chain: AuditChain, signer: Signer) -> None:
    chain.append("promote", "theirs")
    proven = prove(chain, "theirs", signer.verifier)
    assert objections(proven, signer) == ["entry 1 is about theirs"]


def test_an_entry_that_was_edited_in_the_database_is_not_proven(
    chain: AuditChain, signer: Signer, tmp_path: Path
) -> None:
    for reason in ("first", "second"):
        chain.append("promote", "mine", reason=reason)
    with closing(sqlite3.connect(tmp_path / "fleet.db")) as database, database:
        database.execute("UPDATE audit_chain SET body = replace(body, 'first', 'worst') WHERE seq = 1")
    found = objections(prove(chain, "mine", signer.verifier), signer)
    assert found[0].startswith("the chain from entry 1 on does not end as signed on")


def test_a_stretch_survives_being_written_down(chain: AuditChain, signer: Signer) -> None:
    chain.append("promote", "mine")
    (stretch,) = prove(chain, "mine", signer.verifier).stretches
    assert Stretch.model_validate_json(stretch.model_dump_json()) == stretch
