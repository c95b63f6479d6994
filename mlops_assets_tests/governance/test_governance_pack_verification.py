"""Verifying a pack: whatever is done to it is found, by whoever has the platform's public key."""

# ruff: noqa: E501  (tables: one case a line)

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.digests import canonical_json, of_bytes
from mlops_assets.governance.archive import read_archive
from mlops_assets.governance.envelope import seal, unseal
from mlops_assets.governance.pack import MANIFEST, PACK, make_pack
from mlops_assets.governance.pack_verification import Check, verify_pack
from mlops_assets.governance.signatures import Signer
from mlops_assets.specs.durations import utc_now
from mlops_assets_tests.governance.packs import ENVIRONMENT, Platform, small_evidence
from mlops_assets_tests.governance.packs import MANIFEST as PACKAGED
from mlops_assets_tests.vouching import record_of, rules_of

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Platform:
    return Platform(tmp_path_factory.mktemp("platform"))


def files_of(content: bytes, folder: Path) -> Files:
    (folder / "pack.zip").write_bytes(content)
    return read_archive(folder / "pack.zip")


@pytest.fixture(scope="module")
def whole(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Return the files of a pack in which everything is in order."""
    evidence = small_evidence()
    recorded = platform.recorded(evidence, platform.released(evidence))
    return files_of(make_pack(recorded, platform.signer), tmp_path_factory.mktemp("pack"))


def checks(files: Files, platform: Platform, now: datetime | None = None) -> dict[str, Check]:
    found = verify_pack(files, platform.signer.verifier, now or utc_now())
    return {check.name: check for check in found}


def failed(files: Files, platform: Platform) -> dict[str, str]:
    return {name: check.said for name, check in checks(files, platform).items() if check.passed is False}


def signed_anew(files: Files, signer: Signer, **changes: Any) -> Files:
    """Return a pack whose manifest fits its files: what somebody with the platform key could make."""
    rest = {name: content for name, content in files.items() if name != MANIFEST}
    manifest = json.loads(files[MANIFEST])["value"]
    manifest |= {"files": {name: of_bytes(content) for name, content in rest.items()}, **changes}
    return {**rest, MANIFEST: seal(PACK, manifest, signer)}


def test_a_pack_as_it_was_made_is_in_order(whole: Files, platform: Platform) -> None:
    found = checks(whole, platform)
    assert {check.passed for name, check in found.items() if name != "today"} == {True}
    assert found["manifest"].said == "signed with the platform key: small version 1"
    assert found["approvals"].said == "signed with the approvers' keys: approve by Ada"
    assert found["audit"].said.startswith("3 entries about the model, proven to be in the chain")
    assert found["today"] == Check("today", None, found["today"].said)
    assert found["today"].said.startswith("the evidence holds until ")


@settings(max_examples=200)
@given(data=st.data())
def test_any_file_that_is_changed_removed_added_or_exchanged_is_found(
    data: st.DataObject, whole: Files, platform: Platform
) -> None:
    files, names = dict(whole), sorted(whole)
    name = data.draw(st.sampled_from(names))
    match data.draw(st.sampled_from(["flip", "truncate", "replace", "remove", "add", "rename", "exchange"])):
        case "flip":
            place = data.draw(st.integers(0, len(files[name]) - 1))
            changed = bytearray(files[name])
            changed[place] ^= data.draw(st.integers(1, 255))
            files[name] = bytes(changed)
        case "truncate":
            files[name] = files[name][: data.draw(st.integers(0, len(files[name]) - 1))]
        case "replace":
            files[name] = data.draw(st.binary(max_size=100).filter(lambda b: b != whole[name]))
        case "remove":
            del files[name]
        case "add":
            files[data.draw(st.from_regex(r"(approvals/|audit/|releases/)?x[a-z]{1,5}", fullmatch=True))] = (
                b"{}"
            )
        case "rename":
            files[f"{name}x"] = files.pop(name)
        case "exchange":
            other = data.draw(st.sampled_from([n for n in names if whole[n] != whole[name]]))
            files[name], files[other] = files[other], files[name]
    assert failed(files, platform)


@settings(max_examples=100)
@given(data=st.data())
def test_even_a_manifest_that_fits_saves_nothing_that_is_signed(
    data: st.DataObject, whole: Files, platform: Platform
) -> None:
    signed = ("evidence.json", "package/manifest.json", "package/environment.json", "release.json",
              "releases/0001-promote-version-1.json", "audit/entries.jsonl", "approvals/01-approve.json")  # fmt: skip
    name = data.draw(st.sampled_from(signed))
    place = data.draw(st.integers(0, len(whole[name]) - 1))
    changed = bytearray(whole[name])
    changed[place] ^= data.draw(st.integers(1, 127))
    found = failed(signed_anew({**whole, name: bytes(changed)}, platform.signer), platform)
    assert found
    assert "manifest" not in found
    assert "files" not in found


def _edit(name: str, old: str, new: str) -> Callable[[Files], Files]:
    def change(files: Files) -> Files:
        assert old in files[name].decode()
        return {**files, name: files[name].decode().replace(old, new).encode()}

    return change


TAMPERED: dict[str, tuple[Callable[[Files], Files], str, str]] = {
    "the card": (_edit("card/model_card.md", "Not for people.", "For people."), "files", "card/model_card.md was altered"),
    "the policy of the time": (_edit("policy/then.json", "true", "false"), "files", "policy/then.json was altered"),
    "a verdict": (_edit("gates/calibration.json", "passed\": true", "passed\": false"), "files", "gates/calibration.json was altered"),
    "no approval": (lambda f: {k: v for k, v in f.items() if not k.startswith("approvals/01")}, "approvals", "is not shown"),
    "no evidence": (lambda f: {k: v for k, v in f.items() if k != "evidence.json"}, "evidence", "evidence.json is missing"),
    "no manifest": (lambda f: {k: v for k, v in f.items() if k != MANIFEST}, "manifest", "manifest.json is missing"),
    "an empty pack": (lambda _: {}, "manifest", "manifest.json is missing"),
    "one more file": (lambda f: {**f, "approvals/99-approve.json": b"{}"}, "files", "approvals/99-approve.json is not in the manifest"),
}  # fmt: skip


@pytest.mark.parametrize("case", TAMPERED)
def test_tampering_is_told_where_it_was_done(case: str, whole: Files, platform: Platform) -> None:
    change, check, said = TAMPERED[case]
    assert said in failed(change(whole), platform)[check]


def test_evidence_of_another_version_is_found_even_if_the_platform_signed_it(
    whole: Files, platform: Platform
) -> None:
    other = small_evidence(made_at=utc_now() - timedelta(days=1))
    swapped = {**whole, "evidence.json": other.sealed(platform.signer).encode()}
    assert failed(swapped, platform).keys() >= {"files", "evidence", "release"}
    assert failed(signed_anew(swapped, platform.signer), platform).keys() >= {"evidence", "release"}
    named = signed_anew(swapped, platform.signer, evidence=other.digest)
    assert "the release is for evidence" in failed(named, platform)["release"]


def test_a_pack_that_another_key_signed_vouches_for_nothing(whole: Files, tmp_path: Path) -> None:
    stranger = Platform(tmp_path)
    found = failed(whole, stranger)
    for name in ("manifest", "evidence", "package", "release", "rollout", "audit"):
        assert "is not signed with the platform key" in found[name], name
    assert failed(signed_anew(whole, stranger.signer), stranger).keys() >= {"evidence", "release", "audit"}


def test_a_signature_over_one_thing_is_none_over_another(whole: Files, platform: Platform) -> None:
    value = unseal(PACK, whole[MANIFEST], platform.signer.verifier)
    for kind in ("evidence/1", "release/1", "gate/1"):
        assert "manifest" in failed({**whole, MANIFEST: seal(kind, value, platform.signer)}, platform)


def repacked(platform: Platform, folder: Path, *, release: dict[str, Any], **changes: Any) -> Files:
    """Return a pack of a version with other evidence, another release or another record."""
    evidence = small_evidence(**changes)
    made = platform.released(evidence, **release)
    return files_of(make_pack(platform.recorded(evidence, made), platform.signer), folder)


def test_a_gate_that_refused_is_found_though_everything_is_signed(tmp_path: Path) -> None:
    platform, rules, evidence = Platform(tmp_path / "p"), rules_of("minimal"), small_evidence()
    refused = record_of("data_contract", evidence.subject, rules, max_failed=5.0)
    gates = tuple(refused if record.gate == "data_contract" else record for record in evidence.gates)
    found = failed(repacked(platform, tmp_path, release={}, gates=gates), platform)
    assert found.keys() == {"gates"}
    assert "gate data_contract refused" in found["gates"]


def test_a_gate_that_is_missing_at_the_endpoint_is_found(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "p")
    found = failed(repacked(platform, tmp_path, release={"endpoint": ()}), platform)
    assert found.keys() == {"release"}
    assert "gate smoke_test did not judge before the release" in found["release"]


def test_too_few_approvals_are_found(tmp_path: Path) -> None:
    platform, rules = Platform(tmp_path / "p"), rules_of("minimal")
    two = rules.model_copy(update={"approvals": rules.approvals.model_copy(update={"needed": 2})})
    found = failed(repacked(platform, tmp_path, release={}, rules=two), platform)
    assert found == {"release": "it is not approved: 1 of 2 approvals; waiting for one more"}


def test_evidence_that_has_grown_old_is_told_and_is_no_fault(whole: Files, platform: Platform) -> None:
    found = checks(whole, platform, now=utc_now() + timedelta(days=10_000))
    assert found["gates"].passed is True
    assert found["today"].passed is None
    assert found["today"].said.startswith("the evidence expired on ")


def test_a_stricter_policy_of_today_is_told_and_is_no_fault(platform: Platform, tmp_path: Path) -> None:
    evidence = small_evidence()
    today = rules_of("minimal", components={"max_denied": -1.0})
    recorded = platform.recorded(evidence, today=today, decisions=(), releases=())
    found = checks(files_of(make_pack(recorded, platform.signer), tmp_path), platform)
    assert "passed" in found["today"].said
    assert "under a policy looser than today's" in found["today"].said


def test_another_environment_spec_or_package_than_in_the_evidence_is_found(
    platform: Platform, tmp_path: Path
) -> None:
    evidence = small_evidence()
    other = ENVIRONMENT.model_copy(update={"python": "3.12"})
    manifest = canonical_json({"model": "small", "files": {}})
    recorded = platform.recorded(
        evidence.model_copy(update={"spec": {**evidence.spec, "owner": "team:others"}}),
        package=platform.package(manifest, other),
    )
    found = failed(files_of(make_pack(recorded, platform.signer), tmp_path), platform)
    assert found["environment"] == "it is not the one in the evidence"
    assert found["package"] == (
        "its manifest is not that of the candidate in the evidence; "
        "its file environment.json is not the one in its manifest"
    )
    assert found["evidence"] == "the spec in it is not the one it is about"


def test_a_way_back_is_shown_with_all_releases_before_it(tmp_path: Path) -> None:
    platform, first = Platform(tmp_path / "p"), small_evidence()
    one = platform.released(first)
    second = small_evidence(made_at=first.made_at + timedelta(seconds=1))
    two = platform.released(second, version="2", serial=2)
    back = platform.released(
        first, serial=3, action="rollback", run="", at=utc_now(), approved_at=one.release.at
    )
    recorded = platform.recorded(first, one, two, back, decisions=one.release.approvals)
    files = files_of(make_pack(recorded, platform.signer), tmp_path)
    assert failed(files, platform) == {}
    assert checks(files, platform)["rollout"].said.startswith("3 releases of small")
    left_out = {name: content for name, content in files.items() if not name.startswith("releases/0002")}
    found = failed(signed_anew(left_out, platform.signer), platform)
    assert found == {"rollout": "the releases are not those in the audit chain"}


def test_what_was_wrong_with_the_audit_chain_is_told(platform: Platform, tmp_path: Path) -> None:
    evidence = small_evidence()
    recorded = dataclasses.replace(
        platform.recorded(evidence), audit_problems=("entry 5 is missing",), releases=()
    )
    found = failed(files_of(make_pack(recorded, platform.signer), tmp_path), platform)
    assert found["audit"] == "when the pack was made: entry 5 is missing"


def test_a_version_that_was_never_released_has_nothing_to_check_there(tmp_path: Path) -> None:
    platform = Platform(tmp_path / "p")
    platform.chain.append("register", "small", version="1")
    recorded = platform.recorded(small_evidence(), package=platform.package(PACKAGED, None))
    found = checks(files_of(make_pack(recorded, platform.signer), tmp_path), platform)
    assert not [check for check in found.values() if check.passed is False]
    assert {name for name, check in found.items() if check.passed is None} == {
        "environment", "release", "approvals", "rollout", "today",
    }  # fmt: skip


READ = ("evidence.json", "release.json", "audit/proof.json", "audit/entries.jsonl", "audit/chain.json",
        "approvals/approvers.json", "approvals/01-approve.json", "policy/today.json", "package/environment.json", "package/manifest.json",
        MANIFEST)  # fmt: skip
keys = st.sampled_from(["kind", "value", "signature", "seq", "first"])
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner),
    max_leaves=6,
)
contents = st.one_of(
    st.binary(max_size=50),
    st.sampled_from([b"[" * 50_000, b"null", b"1e999", b"\xff\xfe"]),
    plain.map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=100)
@given(name=st.sampled_from(READ), content=contents)
def test_no_content_keeps_the_other_checks_from_being_made(
    name: str, content: bytes, whole: Files, platform: Platform
) -> None:
    found = checks({**whole, name: content}, platform)
    assert len(found) == 11
    assert "\n" not in "".join(check.said for check in found.values())
