"""The image recipe, as far as it can be judged without an engine to build it."""

import os
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from packaging.requirements import Requirement

from mlops_assets.home import settle_libraries

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"

Stage = list[tuple[str, str]]


@pytest.fixture(scope="module")
def stages() -> list[Stage]:
    """The recipe's instructions, split at each ``FROM``; the first part stands before any."""
    lines = DOCKERFILE.read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    parts: list[Stage] = [[]]
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if not line.strip():
            continue
        instruction, _, rest = line.strip().partition(" ")
        if instruction == "FROM":
            parts.append([])
        parts[-1].append((instruction, rest.strip()))
    return parts


def of(stage: Stage, instruction: str) -> list[str]:
    return [rest for found, rest in stage if found == instruction]


def settings(stage: Stage) -> dict[str, str]:
    return dict(pair.split("=", 1) for rest in of(stage, "ENV") for pair in shlex.split(rest))


def copied(stage: Stage) -> list[str]:
    """Return what a stage takes from the build's context."""
    found = [rest.split() for rest in of(stage, "COPY") if "--from=" not in rest]
    return [source for words in found for source in words[:-1]]


def test_every_stage_starts_from_the_base_image_that_was_asked_for(stages: list[Stage]) -> None:
    before, *built = stages
    (argument,) = of(before, "ARG")
    name, _, default = argument.partition("=")
    assert name == "BASE_IMAGE"
    # An official image by its short name: nothing says where it is pulled from.
    assert re.fullmatch(r"python:3\.1[123]-slim", default)
    assert {of(stage, "FROM")[0].split()[0] for stage in built} == {"${BASE_IMAGE}"}


def test_runs_as_the_user_that_the_chart_names(stages: list[Stage], chart: Any) -> None:
    pod = chart.pod("mlops-assets-gateway")["spec"]["securityContext"]
    *_, last = of(stages[-1], "USER")
    assert last == f"{pod['runAsUser']}:{pod['runAsGroup']}"
    assert stages[-1][-1][0] == "CMD"


def test_leaves_the_whole_command_to_whoever_starts_it(stages: list[Stage]) -> None:
    # Dagster's chart and run launcher give `dagster api …` as arguments and no command.
    assert not any(of(stage, "ENTRYPOINT") for stage in stages)


def test_carries_the_packages_and_not_what_built_them(stages: list[Stage]) -> None:
    final = stages[-1]
    assert copied(final) == ["deploy/dagster.yaml"]
    assert not any("pip" in command for command in of(final, "RUN"))
    assert not any(rest.startswith("--chown") for rest in of(final, "COPY"))


def test_takes_from_the_repository_only_what_it_names(stages: list[Stage]) -> None:
    sources = [source for stage in stages for source in copied(stage)]
    assert not {".", "./", "*"} & set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
    lines = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    assert sorted(pattern[1:] for pattern in patterns if pattern[0] == "!") == sorted(sources)
    assert any(fnmatch("mlops_assets/__pycache__", pattern) for pattern in patterns[1:])


def test_installs_what_the_project_asks_for_at_the_versions_that_were_tested(
    stages: list[Stage], tmp_path: Path
) -> None:
    (command,) = [run for run in of(stages[1], "RUN") if "pyproject.toml" in run]
    listing, install = command.split("&&")
    assert "--constraint constraints.txt" in install
    words = shlex.split(listing)
    assert words[:2] == ["python", "-c"]
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    listed = subprocess.run(
        [sys.executable, "-c", words[2]], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    names = {Requirement(line).name for line in listed.stdout.splitlines()}
    assert {"dagster", "dagster-webserver", "dagster-k8s", "dagster-postgres", "mlflow"} <= names


def test_reports_to_nobody_and_finds_its_files(stages: list[Stage], chart: Any) -> None:
    with mock.patch.dict(os.environ, clear=True):
        settle_libraries()
        silent = dict(os.environ)
    told = settings(stages[-1])
    assert silent.items() <= told.items()
    assert told["MLOPS_HOME"] == chart.get("ConfigMap", "mlops-assets-env")["data"]["MLOPS_HOME"]
    instance = next(rest for rest in of(stages[-1], "COPY") if "dagster.yaml" in rest)
    assert instance.split()[-1] == f"{told['DAGSTER_HOME']}/dagster.yaml"


def test_holds_no_secret(stages: list[Stage]) -> None:
    for stage in stages:
        names = [rest.partition("=")[0] for rest in of(stage, "ARG")] + list(settings(stage))
        assert not [name for name in names if re.search("KEY|PASSWORD|SECRET|TOKEN", name)]
