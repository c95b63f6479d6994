"""Whoever has a line in a file is its author, and whoever has none left is not."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_assets.actor import os_user
from mlops_assets.governance.authorship import authors_of

ADA = {"Ada Lovelace", "ada@example.com"}
GRACE = {"Grace Hopper", "grace@example.com"}
ME = {os_user()}

Commit = Callable[..., None]


@pytest.fixture(autouse=True)
def only_its_own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty repository."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "project"
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


@pytest.fixture
def commit(repository: Path) -> Commit:
    """Return a maker of commits: ``commit("Ada Lovelace", {"model.py": "…"})``."""

    def make(name: str, files: dict[str, str], email: str | None = None) -> None:
        for file, content in files.items():
            (repository / file).parent.mkdir(parents=True, exist_ok=True)
            (repository / file).write_text(content)
        who = ["-c", f"user.name={name}", "-c", f"user.email={email or name.split()[0].lower()}@example.com"]
        subprocess.run(["git", "add", "--all"], cwd=repository, check=True)
        subprocess.run(["git", *who, "commit", "--quiet", "-m", "author X"], cwd=repository, check=True)

    return make


def test_those_whose_lines_stand_in_the_files_now(repository: Path, commit: Commit) -> None:
    commit("Ada Lovelace", {"model.py": "a\nb\nc\n", "other.py": "a\n"})
    commit("Grace Hopper", {"model.py": "a\nB\nc\n"})
    assert authors_of([repository / "model.py"]) == ADA | GRACE
    assert authors_of([repository / "other.py"]) == ADA
    assert authors_of([repository / "other.py", repository / "model.py"]) == ADA | GRACE
    assert authors_of([]) == frozenset()


def test_whoever_was_rewritten_is_no_author_any_more(repository: Path, commit: Commit) -> None:
    commit("Ada Lovelace", {"model.py": "a\nb\n"})
    commit("Grace Hopper", {"model.py": "x\ny\n"})
    assert authors_of([repository / "model.py"]) == GRACE


def test_a_line_that_is_not_committed_is_the_users(repository: Path, commit: Commit) -> None:
    commit("Ada Lovelace", {"model.py": "a\nb\n"})
    (repository / "model.py").write_text("a\nb\nc\n")
    assert authors_of([repository / "model.py"]) == ADA | ME
    (repository / "model.py").write_text("c\n")
    subprocess.run(["git", "add", "--all"], cwd=repository, check=True)
    assert authors_of([repository / "model.py"]) == ME


def test_a_file_that_git_does_not_know_is_the_users(repository: Path, commit: Commit, tmp_path: Path) -> None:
    commit("Ada Lovelace", {"model.py": "a\n"})
    (repository / "new.py").write_text("a\n")
    (tmp_path / "elsewhere.py").write_text("a\n")
    unknown = [repository / "new.py", tmp_path / "elsewhere.py", tmp_path / "missing" / "x.py"]
    for file in [*unknown, repository, Path("nul\0"), tmp_path / ("x" * 5000)]:
        assert authors_of([file]) == ME, file


def test_without_git_it_is_the_user(
    repository: Path, commit: Commit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit("Ada Lovelace", {"model.py": "a\n"})
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert authors_of([repository / "model.py"]) == ME


def test_a_git_that_hangs_is_not_waited_for(
    repository: Path, commit: Commit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit("Ada Lovelace", {"model.py": "a\n"})
    hanging = tmp_path / "bin" / "git"
    hanging.parent.mkdir()
    hanging.write_text("#!/bin/sh\nexec tail -f /dev/null\n")
    hanging.chmod(0o755)
    monkeypatch.setenv("PATH", f"{hanging.parent}{os.pathsep}{os.environ['PATH']}")
    assert authors_of([repository / "model.py"], timeout=0.1) == ME


def test_names_and_files_of_any_kind(repository: Path, commit: Commit) -> None:
    commit("Ågot Bø Ödegård", {"modèle à moi.py": "a\n"}, email="agot")
    commit("author Mail", {"-model.py": "author nobody\nauthor-mail <nobody@example.com>\n"}, email="mail")
    assert authors_of([repository / "modèle à moi.py"]) == {"Ågot Bø Ödegård", "agot@example.com"}
    assert authors_of([repository / "-model.py"]) == {"author Mail", "mail@example.com"}


def test_a_link_leads_to_the_authors_of_what_it_leads_to(
    repository: Path, commit: Commit, tmp_path: Path
) -> None:
    commit("Ada Lovelace", {"models/model.py": "a\n"})
    (tmp_path / "link.py").symlink_to(repository / "models" / "model.py")
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    assert authors_of([tmp_path / "link.py"]) == ADA
    assert authors_of([tmp_path / "loop.py"]) == ME


def test_the_environment_and_the_projects_settings_hide_nobody(
    repository: Path, commit: Commit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit("Ada Lovelace", {"model.py": "a\n"})
    commit("Grace Hopper", {"model.py": "a \n"})
    newest = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True, text=True
    )
    (repository / "ignored").write_text(newest.stdout)
    subprocess.run(["git", "config", "blame.ignoreRevsFile", "ignored"], cwd=repository, check=True)
    assert authors_of([repository / "model.py"]) == GRACE
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    assert authors_of([repository / "model.py"]) == GRACE


def test_a_mailmap_hides_nobody(repository: Path, commit: Commit) -> None:
    """It need not even be committed."""
    commit("Ada Lovelace", {"model.py": "a\n"})
    (repository / ".mailmap").write_text("Nobody <nobody@example.com> <ada@example.com>\n")
    assert authors_of([repository / "model.py"]) == ADA | {"Nobody", "nobody@example.com"}


def test_commits_that_stand_in_for_others_hide_nobody(repository: Path, commit: Commit) -> None:
    def git(*command: str, given: str | None = None) -> str:
        done = subprocess.run(
            ["git", *command], cwd=repository, check=True, capture_output=True, text=True, input=given
        )
        return done.stdout.strip()

    commit("Ada Lovelace", {"model.py": "a\n"})
    forged = git("cat-file", "commit", "HEAD").replace("ada@", "nobody@").replace("Ada Lovelace", "Nobody")
    git("replace", "HEAD", git("hash-object", "-t", "commit", "-w", "--stdin", given=f"{forged}\n"))
    assert authors_of([repository / "model.py"]) == ADA


def test_parents_that_were_put_in_place_of_others_hide_nobody(repository: Path, commit: Commit) -> None:
    commit("Ada Lovelace", {"model.py": "a\n"})
    commit("Grace Hopper", {"other.py": "a\n"})
    newest = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True)
    (repository / ".git" / "info").mkdir(exist_ok=True)
    (repository / ".git" / "info" / "grafts").write_bytes(newest.stdout)
    assert authors_of([repository / "model.py"]) == ADA


def test_a_converter_of_the_clone_hides_nobody(repository: Path, commit: Commit) -> None:
    commit("Ada Lovelace", {"model.py": "a\n", ".gitattributes": "*.py diff=same\n"})
    commit("Grace Hopper", {"model.py": "b\n"})
    subprocess.run(["git", "config", "diff.same.textconv", "echo same #"], cwd=repository, check=True)
    assert authors_of([repository / "model.py"]) == GRACE
