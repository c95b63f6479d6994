"""schemathesis against a gateway: every check, in a process of its own."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_assets.data.columns import to_declared_types
from mlops_assets_tests.fleets import Training

_HOOKS = "mlops_assets_tests.serving.schemathesis_hooks"
_ROOT = Path(__file__).parents[2]
_REFUSED = ("400", "401", "403", "404", "413", "415", "422")


@dataclass(frozen=True)
class Found:
    """What a run found.

    Attributes:
        cases: Requests that were made and checked.
        statuses: How many answers had which status.
        findings: Kind of each finding.
        report: All of it, in words.
    """

    cases: int
    statuses: Counter[int]
    findings: list[str]
    report: str


def right_rows(training: Training) -> list[dict[str, Any]]:
    """Return rows of a model as JSON has them, of which no value is missing."""
    frame = to_declared_types(training.rows, training.inputs).dropna().head(3)
    text = frame.to_json(orient="records", date_format="iso", double_precision=15)
    rows: list[dict[str, Any]] = json.loads(text)
    whole = [column.name for column in training.inputs if column.type == "number"]
    return [{**row, **{name: float(row[name]) for name in whole}} for row in rows]


def run(
    document: str,
    url: str,
    folder: Path,
    rows: dict[str, list[dict[str, Any]]],
    *,
    examples: int,
    hidden: Collection[str] = (),
    key: str | None = None,
    seed: int = 1,
    phases: str = "fuzzing",
) -> Found:
    """Have schemathesis try a gateway.

    Args:
        document: The OpenAPI document: a URL or a file.
        url: The gateway.
        folder: For what is written on the way.
        rows: Right rows by model.
        examples: Most requests for each operation, in each phase that draws them.
        hidden: Models that the caller may not know of.
        key: API key of the caller.
        seed: Of what is drawn.
        phases: Of schemathesis.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config, report, models, answers = (
        folder / name for name in ("schemathesis.toml", "report.json", "models.json", "answers.txt")
    )
    config.write_text(_config([*rows]))
    models.write_text(json.dumps({"rows": rows, "hidden": sorted(hidden)}))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", document]
    command += ["--url", url, "--checks", "all", "--max-examples", str(examples), "--seed", str(seed)]
    command += ["--phases", phases, "--warnings", "off"]
    command += ["--no-color", "--report", "json", "--report-json-path", str(report)]
    if key is not None:
        command += ["--header", f"x-api-key: {key}"]
    hooks = {"PYTHONPATH": str(_ROOT), "FUZZED_MODELS": str(models), "FUZZED_ANSWERS": str(answers)}
    environment = os.environ | hooks | {"NO_PROXY": "*"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if not report.exists():
        raise RuntimeError(f"schemathesis did not run:\n{done.stdout}{done.stderr}")
    told = json.loads(report.read_text())
    findings = [each["title"] for each in (*told["failures"], *told["errors"])]
    if done.returncode and not findings:
        findings = [f"schemathesis ended with {done.returncode}"]
    statuses = Counter(map(int, answers.read_text().split()))
    return Found(told["test_cases"]["generated"], statuses, findings, done.stdout + done.stderr)


def _config(models: list[str]) -> str:
    """Return schemathesis' settings.

    Whether a request is right is told by the model it is sent to, which the description knows nothing of; so
    what keeps to that may be refused, but what does not has to be.
    """
    accepted = json.dumps(["2xx", "3xx", "401", "403", "404"])
    posted = json.dumps(["2xx", *_REFUSED])
    return f"""
hooks = "{_HOOKS}"
continue-on-failure = true
[generation]
database = "none"
with-security-parameters = false
[dictionaries.models]
values = {json.dumps(models)}
[dictionaries.versions]
values = ["1"]
[parameters]
"path.model" = {{dictionary = "models", probability = 0.95}}
"path.model_name" = {{dictionary = "models", probability = 0.95}}
"path.version" = {{dictionary = "versions", probability = 0.9}}
"path.model_version" = {{dictionary = "versions", probability = 0.9}}
[checks.positive_data_acceptance]
expected-statuses = {accepted}
[checks.negative_data_rejection]
expected-statuses = ["4xx"]
[[operations]]
include-method = "POST"
[operations.checks.positive_data_acceptance]
expected-statuses = {posted}
"""
