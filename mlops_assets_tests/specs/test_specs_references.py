"""References to code: found with help, and known by a digest that sees what they import."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.errors import SpecError
from mlops_assets.specs.references import (
    code_digest,
    is_installed,
    load_class,
    load_function,
    project_code,
    source_of,
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small project of a package with three modules and a subpackage."""
    folder = tmp_path / "references_project"
    (folder / "deep").mkdir(parents=True)
    files = {
        "__init__.py": "",
        "train.py": (
            "from . import shared\nfrom .deep.inner import x\nimport math\n"
            "def train(): return x\nclass Model: ...\n"
        ),
        "shared.py": "y = 1\n",
        "deep/__init__.py": "",
        "deep/inner.py": "import numpy\nx = 1\n",
        "other.py": "z = 1\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.startswith("references_project")]:
        del sys.modules[name]


def test_a_wrong_name_comes_with_the_nearest_right_one(project: Path) -> None:
    with pytest.raises(SpecError, match=r"has no function 'trian' \(did you mean 'train'\?\)"):
        load_function("references_project.train:trian")
    with pytest.raises(SpecError, match=r"has no class 'Modl' \(did you mean 'Model'\?\)"):
        load_class("references_project.train.Modl")
    with pytest.raises(SpecError, match=r"cannot import references_project\.gone"):
        load_function("references_project.gone:x")
    with pytest.raises(SpecError, match="'Model' is not a class path"):
        load_class("Model")


def test_a_module_that_fails_on_import_is_the_teams_to_mend(project: Path) -> None:
    (project / "broken.py").write_text("def f(:\n")
    with pytest.raises(SpecError, match=r"references_project\.broken fails on import: SyntaxError"):
        load_function("references_project.broken:f")


@pytest.mark.parametrize("reference", ["references_project.train:train", "references_project.train.Model"])
def test_the_code_digest_sees_every_project_module_behind_a_reference(project: Path, reference: str) -> None:
    before = code_digest(reference)
    (project / "other.py").write_text("z = 2\n")
    assert code_digest(reference) == before
    for changed in ("train.py", "shared.py", "deep/inner.py"):
        file = project / changed
        original = file.read_text()
        file.write_text(original + "# changed\n")
        assert code_digest(reference) != before, changed
        file.write_text(original)
    assert code_digest(reference) == before


def test_the_code_behind_a_reference_is_kept_by_the_paths_it_is_imported_from(project: Path) -> None:
    assert project_code("references_project.train:train") == {
        f"references_project/{name}": (project / name).read_bytes()
        for name in ("__init__.py", "train.py", "shared.py", "deep/inner.py")
    }
    assert project_code("sklearn.linear_model.Ridge") == {}


def test_our_own_code_is_known_by_its_version_and_the_models_beside_it_by_their_files(project: Path) -> None:
    (project / "train.py").write_text(
        "from mlops_assets.errors import DataError\nfrom mlops_assets.defs.flight_delay import source\n"
        "def train(): return DataError, source\n"
    )
    ours = [
        path for path in project_code("references_project.train:train") if path.startswith("mlops_assets/")
    ]
    assert "mlops_assets/errors.py" not in ours
    # Where the platform is installed for good, and not in place, its models are known by its version too.
    assert ("mlops_assets/defs/flight_delay/source.py" in ours) is not is_installed("mlops_assets")


def test_installed_code_is_known_by_its_version_and_not_by_its_files() -> None:
    assert code_digest("sklearn.linear_model.Ridge") == code_digest("sklearn.svm.SVC")


def test_what_comes_with_an_installation_is_told_from_project_code(project: Path) -> None:
    for installed in ("sys", "json", "os.path", "numpy", "sklearn.linear_model", "not_there_at_all"):
        assert is_installed(installed), installed
    assert not is_installed("references_project.train")


def test_what_has_no_source_file_is_refused() -> None:
    with pytest.raises(SpecError, match="math:sqrt has no source file"):
        source_of("math:sqrt")
