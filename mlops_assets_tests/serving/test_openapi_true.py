"""The gateway keeps to its own description and to the Open Inference Protocol, whatever is sent to it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.specs.data_spec import Entity
from mlops_assets_tests.fleets import Fleet, Served, guarded, iris, serve
from mlops_assets_tests.serving.peers import dataplane
from mlops_assets_tests.serving.schemathesis_run import Found, right_rows, run

EXAMPLES = 12  # of each operation; benchmarks/openapi_true.py draws thousands


def require_nothing(found: Found, least: int) -> None:
    assert not found.findings, found.report
    assert found.cases >= least, found.report
    assert found.statuses[200] > 50, found.statuses  # else the requests were not deep


@pytest.fixture(scope="module")
def rows(trainings: Any) -> dict[str, list[dict[str, Any]]]:
    return {model: right_rows(training) for model, training in trainings.items()}


@pytest.mark.slow
def test_it_is_as_it_says(served: Served, rows: Any, tmp_path: Path) -> None:
    phases = "coverage,fuzzing"  # also each member left out, of another type, and at its limits
    found = run(f"{served.url}/openapi.json", served.url, tmp_path, rows, examples=EXAMPLES, phases=phases)
    require_nothing(found, least=500)


@pytest.mark.slow
def test_it_is_as_the_protocol_says(served: Served, rows: Any, tmp_path: Path) -> None:
    document = tmp_path / "dataplane.json"
    document.write_text(json.dumps(dataplane()))
    found = run(str(document), served.url, tmp_path / "run", rows, examples=EXAMPLES)
    require_nothing(found, least=50)


@pytest.fixture(scope="module")
def closed(
    tmp_path_factory: pytest.TempPathFactory, copy_fleet: Callable[[Path], Fleet]
) -> Iterator[tuple[Served, str]]:
    """A gateway with two models, and a key that opens one of them."""
    fleet = copy_fleet(tmp_path_factory.mktemp("closed"))
    fleet.promote("guarded", fleet.add(guarded(), entity=Entity(column="customer", log="hash")).version)
    fleet.promote("iris", fleet.add(iris()).version)
    key = fleet.key("somebody", "guarded")
    with serve(fleet) as running:
        yield running, key


@pytest.mark.slow
def test_who_may_call_one_model_learns_nothing_of_another(closed: tuple[Served, str], tmp_path: Path) -> None:
    running, key = closed
    rows = {"guarded": right_rows(guarded()), "iris": right_rows(iris())}
    document = f"{running.url}/openapi.json"
    found = run(document, running.url, tmp_path, rows, examples=EXAMPLES, hidden=["iris"], key=key)
    require_nothing(found, least=100)
