"""``mlops-assets evidence`` and ``verify``: with the file and a key, an auditor finds whatever was done."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.governance.archive import LARGEST_FILE, archived, read_archive
from mlops_assets.governance.environment import Environment
from mlops_assets.governance.signatures import Signer

STAGES = [
    "raw_data",
    "validated_features",
    "trained_model",
    "evaluation",
    "registered_version",
    "deployed_endpoint",
]


@pytest.fixture(scope="session")
def handed_over(
    warm: Any, champion_home: Path, tmp_path_factory: pytest.TempPathFactory, fast_folder: Path
) -> Path:
    """Return a folder with what an auditor is handed: the champion's pack, and the public key."""
    from mlops_assets_tests.whole_processes import TumourProject

    folder = tmp_path_factory.mktemp("auditor")
    home = shutil.copytree(champion_home, fast_folder / "audited")
    project = TumourProject(tmp_path_factory.mktemp("audited") / "project")
    ended = warm.cli("evidence", "tumour", "--out", folder / "pack.zip", cwd=project.root, home=home)
    assert ended.code == 0, ended.err
    shutil.copy(home / "keys" / "platform_ed25519.pub.pem", folder / "key.pem")
    return folder


def test_a_pack_is_written_and_verified_where_there_is_nothing_else(
    warm: Any, handed_over: Path, tmp_path: Path
) -> None:
    pack, key = handed_over / "pack.zip", handed_over / "key.pem"
    shown = warm.cli("verify", pack, "--key", key, cwd=tmp_path, home=tmp_path / "no-home")
    assert shown.code == 0, shown.out + shown.err
    assert shown.err == ""
    first, *_, last = shown.out.splitlines()
    assert first == "✓ manifest     signed with the platform key: tumour version 1"
    assert last.startswith("– today        the evidence holds until ")
    assert "✗" not in shown.out
    told = warm.cli("verify", pack, "--json", cwd=tmp_path, home=tmp_path / "no-home",
                    MLOPS_VERIFY_KEY=key.read_text())  # fmt: skip
    assert told.code == 0
    assert told.json["verified"] is True
    assert {check["name"] for check in told.json["checks"]} >= {"files", "gates", "release", "audit"}
    assert not (tmp_path / "no-home").exists()


def test_the_program_in_the_guide_verifies_a_pack_without_us(handed_over: Path, tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "audit.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", guide, re.S)
    (tmp_path / "check.py").write_text(program)
    pack, key = handed_over / "pack.zip", handed_over / "key.pem"

    def check(pack: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", tmp_path / "check.py", pack, key]
        return subprocess.run(command, capture_output=True, text=True)

    good = check(pack)
    assert good.returncode == 0, good.stderr
    assert "files are as signed" in good.stdout
    altered = tmp_path / "altered.zip"
    altered.write_bytes(archived(_altered(read_archive(pack))))
    assert "AssertionError: card/model_card.html" in check(altered).stderr


def test_what_is_recorded_of_the_champion_is_in_its_pack(handed_over: Path) -> None:
    files = read_archive(handed_over / "pack.zip")
    events = json.loads(files["lineage/openlineage.json"])
    assert [(event["eventType"], event["job"]["name"]) for event in events] == [
        (kind, f"tumour.{stage}") for stage in STAGES for kind in ("START", "COMPLETE")
    ]
    assert all(
        start["eventTime"] <= end["eventTime"] for start, end in zip(events[::2], events[1::2], strict=True)
    )
    recorded = Environment.from_bytes(files["package/environment.json"])
    assert recorded == Environment.present()
    bill = json.loads(files["sbom.cdx.json"])
    listed = {component["name"]: component["version"] for component in bill["components"]}
    assert {"python": recorded.python, **listed} == recorded.versions
    assert "mean_texture" in files["card/data_sheet.md"].decode()
    assert "328 to learn from" in files["card/model_card.html"].decode()
    actions = [json.loads(line)["action"] for line in files["audit/entries.jsonl"].decode().splitlines()]
    assert actions[-2:] == ["register", "promote"]


def test_nothing_of_the_machine_and_no_key_is_in_a_pack(handed_over: Path, fast_folder: Path) -> None:
    whole = b"".join(read_archive(handed_over / "pack.zip").values())
    private = (fast_folder / "audited" / "keys" / "platform_ed25519.pem").read_bytes()
    assert private.splitlines()[1] not in whole
    assert b"PRIVATE KEY" not in whole
    assert str(fast_folder).encode() not in whole


def test_the_same_state_gives_the_same_bytes(
    warm: Any, project: Any, home_with_champion: Path, tmp_path: Path
) -> None:
    where: dict[str, Any] = {"cwd": project.root, "home": home_with_champion}
    first = warm.cli("evidence", "tumour", **where)
    assert first.code == 0, first.err
    named = warm.cli("evidence", "tumour", "1", "--out", tmp_path / "again.zip", "--json", **where)
    assert named.code == 0
    written = project.root / "tumour-1-audit.zip"
    assert written.read_bytes() == (tmp_path / "again.zip").read_bytes()
    assert named.json["sha256"] in first.out
    assert (named.json["model"], named.json["version"], named.json["verified"]) == ("tumour", "1", True)
    assert warm.cli("verify", written, **where).code == 0


def test_decisions_of_people_are_in_it_as_they_signed_them(
    warm: Any, project: Any, home_with_champion: Path, tmp_path: Path
) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("this machine has no ssh-keygen")
    key = tmp_path / "ada"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    approver = {
        "name": "Ada",
        "key": key.with_suffix(".pub").read_text().strip(),
        "identities": ["ada@example.com"],
    }
    (project.folder.parent / "policy.yaml").write_text(json.dumps({"approvers": [approver]}))
    where: dict[str, Any] = {"cwd": project.root, "home": home_with_champion}
    reason = "in order; `as` | far\nas I see"
    assert warm.cli("approve", "tumour", "1", "--key", key, "--reason", reason, **where).code == 0
    made = warm.cli("evidence", "tumour", "--out", tmp_path / "pack.zip", **where)
    assert made.code == 0, made.out + made.err
    assert "✓ approvals    signed with the approvers' keys: approve by Ada" in made.out
    files = read_archive(tmp_path / "pack.zip")
    assert json.loads(files["approvals/01-approve.json"])["reason"] == reason
    for name in ("allowed_signers", "01-approve.json", "01-approve.json.sig"):
        (tmp_path / name).write_bytes(files[f"approvals/{name}"])
    (line,) = [line for line in files["README.md"].decode().splitlines() if "ssh-keygen" in line]
    verified = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True)
    assert verified.returncode == 0, verified.stderr


def test_what_became_of_the_model_since_changes_no_pack_and_is_told_in_a_new_one(
    warm: Any, project: Any, home_with_champion: Path, tmp_path: Path
) -> None:
    where: dict[str, Any] = {"cwd": project.root, "home": home_with_champion}
    then, later = tmp_path / "then.zip", tmp_path / "later.zip"
    assert warm.cli("evidence", "tumour", "--out", then, **where).code == 0
    wider = ["mean_texture", "mean_smoothness", "mean_symmetry", "mean_radius"]
    project.write_spec(data={"features": wider})
    assert warm.cli("run", "tumour", "--as-of", project.as_of, **where).code == 0
    assert warm.cli("verify", then, **where).code == 0
    made = warm.cli("evidence", "tumour", "1", "--out", later, **where)
    assert made.code == 0, made.out + made.err
    assert "✓ rollout      2 releases of tumour" in made.out
    before, after = read_archive(then), read_archive(later)
    *history, release = sorted(name for name in before | after if before.get(name) != after.get(name))
    assert history == [
        "README.md", "audit/chain.json", "audit/entries.jsonl", "audit/proof.json", "manifest.json",
    ]  # fmt: skip
    assert re.fullmatch(r"releases/\d+-promote-version-2\.json", release)


def test_a_record_that_was_altered_in_the_registry_or_is_gone_is_found(
    warm: Any, project: Any, home: Path, tmp_path: Path
) -> None:
    where: dict[str, Any] = {"cwd": project.root, "home": home}
    assert warm.cli("run", "tumour", "--as-of", project.as_of, **where).code == 0
    (kept,) = home.rglob("package/environment.json")
    kept.write_bytes(kept.read_bytes().replace(b'"name":"numpy"', b'"name":"numbat"'))
    altered = warm.cli("evidence", "tumour", "--out", tmp_path / "pack.zip", **where)
    assert altered.code == 1
    assert "✗ package      its file environment.json is not the one in its manifest" in altered.out
    assert "✗ environment  it is not the one in the evidence" in altered.out
    kept.unlink()
    gone = warm.cli("evidence", "tumour", "--out", tmp_path / "none.zip", **where)
    assert gone.code == 2
    (line,) = gone.err.splitlines()
    assert "tumour version 1: model/data/package/environment.json is gone from the registry" in line
    assert not (tmp_path / "none.zip").exists()


def test_a_snapshot_that_is_gone_is_missed_and_told(
    warm: Any, project: Any, home_with_champion: Path, tmp_path: Path
) -> None:
    shutil.rmtree(home_with_champion / "snapshots")
    pack = tmp_path / "pack.zip"
    ended = warm.cli("evidence", "tumour", "--out", pack, cwd=project.root, home=home_with_champion)
    assert ended.code == 0, ended.out + ended.err
    sheet = read_archive(pack)["card/data_sheet.md"].decode()
    assert "What its columns held cannot be told: snapshot" in sheet


def test_an_audit_chain_that_was_tampered_with_is_a_finding(
    warm: Any, project: Any, home_with_champion: Path, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(home_with_champion / "fleet.db")) as database, database:
        database.execute("UPDATE audit_chain SET body = replace(body, 'register', 'renounce')")
    ended = warm.cli(
        "evidence", "tumour", "--out", tmp_path / "p.zip", cwd=project.root, home=home_with_champion
    )
    assert ended.code == 1
    assert "✗ audit" in ended.out
    assert "is not as it was written" in ended.out


def _altered(files: dict[str, bytes]) -> dict[str, bytes]:
    card = files["card/model_card.html"].replace(b"tumours", b"flowers")
    return {**files, "card/model_card.html": card}


def _removed(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name != "audit/proof.json"}


def _added(files: dict[str, bytes]) -> dict[str, bytes]:
    return {**files, "releases/0002-promote-version-2.json": files["release.json"]}


TAMPERED: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = {
    "altered": (_altered, "✗ files        card/model_card.html was altered"),
    "removed": (_removed, "✗ audit        audit/proof.json is missing"),
    "added": (_added, "✗ files        releases/0002-promote-version-2.json is not in the manifest"),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_a_pack_that_was_tampered_with_is_a_finding(
    case: str, warm: Any, handed_over: Path, tmp_path: Path
) -> None:
    change, said = TAMPERED[case]
    pack = tmp_path / "pack.zip"
    pack.write_bytes(archived(change(read_archive(handed_over / "pack.zip"))))
    key = handed_over / "key.pem"
    ended = warm.cli("verify", pack, "--key", key, cwd=tmp_path, home=tmp_path)
    assert ended.code == 1
    assert said in ended.out.splitlines()
    told = warm.cli("verify", pack, "--key", key, "--json", cwd=tmp_path, home=tmp_path)
    assert told.code == 1
    assert told.json["verified"] is False


def test_the_key_is_the_verifiers_own(warm: Any, handed_over: Path, tmp_path: Path) -> None:
    pack = handed_over / "pack.zip"
    none = warm.cli("verify", pack, cwd=tmp_path, home=tmp_path / "none")
    assert none.code == 2
    (line,) = none.err.splitlines()
    assert "give the platform's public key with --key FILE or in MLOPS_VERIFY_KEY" in line
    Signer.for_home(tmp_path / "other")
    other = warm.cli("verify", pack, cwd=tmp_path, home=tmp_path / "other")
    assert other.code == 1
    assert "✗ manifest     manifest.json is not signed with the platform key" in other.out


def test_an_empty_archive_is_a_finding(warm: Any, handed_over: Path, tmp_path: Path) -> None:
    (tmp_path / "pack.zip").write_bytes(archived({}))
    ended = warm.cli("verify", "pack.zip", "--key", handed_over / "key.pem", cwd=tmp_path, home=tmp_path)
    assert ended.code == 1
    assert "✗ manifest     manifest.json is missing" in ended.out


UNREAD: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "text": lambda _: b"no archive",
    "cut off": lambda pack: pack[: len(pack) // 2],
    "names that lead elsewhere": lambda _: archived({"../../evil": b"x"}),
    "a bomb": lambda _: archived({"bomb": bytes(LARGEST_FILE + 1)}),
}


@pytest.mark.parametrize("case", UNREAD)
def test_what_is_no_pack_is_refused_in_one_line(
    case: str, warm: Any, handed_over: Path, tmp_path: Path
) -> None:
    file = tmp_path / "pack.zip"
    file.write_bytes(UNREAD[case]((handed_over / "pack.zip").read_bytes()))
    ended = warm.cli("verify", file, "--key", handed_over / "key.pem", cwd=tmp_path, home=tmp_path)
    assert ended.code == 2
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1
    assert "it is not read" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tumour", "7"), "tumour has no version 7"),
        (("tumor",), "no version of 'tumor' is registered (did you mean 'tumour'?)"),
        (
            ("tumour", "--out", "dg.toml/p.zip"),
            "cannot write to dg.toml/p.zip: a file is in the way of a folder",
        ),
    ],
)
def test_what_cannot_be_packed_is_refused_in_one_line(
    arguments: tuple[str, ...], said: str, warm: Any, project: Any, home_with_champion: Path
) -> None:
    ended = warm.cli("evidence", *arguments, cwd=project.root, home=home_with_champion)
    assert ended.code == 2
    assert ended.out == ""
    (line,) = ended.err.splitlines()
    assert said in line
