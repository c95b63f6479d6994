"""What people see after one lifecycle run: headless Chromium on the real UIs that ``up`` starts."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

pytestmark = [pytest.mark.slow, pytest.mark.browser]

MODEL = "flight_delay"
STAGES = (
    "raw_data",
    "validated_features",
    "trained_model",
    "evaluation",
    "registered_version",
    "deployed_endpoint",
)
GATES = {
    "raw_data": ("data_contract",),
    "validated_features": ("feature_verification",),
    "evaluation": ("champion_comparison", "metric_thresholds"),
    "deployed_endpoint": ("online_offline_parity", "smoke_test"),
}
# Only how long a broken page is waited for; a page that works is not slowed by it.
PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def up(
    run_command: Callable[..., "subprocess.CompletedProcess[str]"],
    start_up: Callable[..., Any],
    chromium: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    """The running UIs, after one lifecycle; in the end a Ctrl-C leaves nothing behind."""
    home = tmp_path_factory.mktemp("ui") / "home"
    done = run_command(home, "run", MODEL, "--as-of", "2013-04-01")
    assert done.returncode == 0, done.stdout + done.stderr
    up = start_up(home)
    up.wait_until_up()
    yield up
    assert up.stop() == (0, "")
    assert up.family() == {}


@pytest.fixture(scope="module")
def page(up: Any, chromium: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        page = browser.new_page(viewport={"width": 1600, "height": 1200})
        page.set_default_timeout(PATIENCE_MS)
        yield page
        browser.close()


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    expect.set_options(timeout=PATIENCE_MS)
    yield
    expect.set_options(timeout=5_000)


def test_the_lineage_shows_the_road_and_who_watches_it(page: Page, up: Any) -> None:
    page.goto(f"{up.url('Dagster')}/locations/mlops_assets/asset-groups/{MODEL}/lineage")
    for stage in (*STAGES, "monitoring_report"):
        expect(page.get_by_text(stage, exact=True).first).to_be_visible()


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_tells_whose_it_is_and_what_it_found(stage: str, page: Page, up: Any) -> None:
    page.goto(f"{up.url('Dagster')}/assets/{MODEL}/{stage}")
    expect(page.get_by_text("Latest materialization")).to_be_visible()
    expect(page.get_by_text("flight-ops", exact=True)).to_be_visible()
    expect(page.get_by_text(f"mlops/model: {MODEL}")).to_be_visible()
    expect(page.get_by_placeholder("Filter metadata keys")).to_be_visible()


@pytest.mark.parametrize("stage", GATES)
def test_each_gate_shows_that_it_passed_and_what_it_measured(stage: str, page: Page, up: Any) -> None:
    for gate in GATES[stage]:
        page.goto(f"{up.url('Dagster')}/assets/{MODEL}/{stage}?view=checks&checkDetail={gate}")
        expect(page.get_by_text(gate, exact=True).first).to_be_visible()
        expect(page.get_by_text("This is a blocking asset check.")).to_be_visible()
        expect(page.get_by_text("Passed", exact=True)).to_be_visible()
        # Unfolded, not behind a click: what was measured, and the limit.
        expect(page.get_by_text("limit", exact=True).first).to_be_visible()
        expect(page.get_by_text("Failed", exact=True)).to_have_count(0)


def test_the_sensor_and_the_schedule_run_and_start_nothing_that_is_not_called_for(
    page: Page, up: Any
) -> None:
    location = f"{up.url('Dagster')}/locations/mlops_assets"
    page.goto(f"{location}/schedules/monitoring_month")
    expect(page.get_by_text("Running", exact=True).first).to_be_visible()
    page.goto(f"{location}/sensors/retraining")
    expect(page.get_by_text("Running", exact=True).first).to_be_visible()
    # The daemon's first tick: it has looked, and asked for nothing.
    expect(page.get_by_text("0 runs requested").first).to_be_visible()
    page.goto(f"{up.url('Dagster')}/runs")
    expect(page.get_by_text("lifecycle", exact=True)).to_have_count(1)


def test_mlflow_shows_what_the_champion_is_for_and_how_good_it_is(page: Page, up: Any) -> None:
    page.goto(f"{up.url('MLflow')}/#/models/{MODEL}")
    expect(page.get_by_text("Predict arrivals more than 15 minutes late")).to_be_visible()
    page.goto(f"{up.url('MLflow')}/#/models/{MODEL}/versions/1")
    expect(page.get_by_text("@ champion")).to_be_visible()
    expect(page.get_by_text("As of 2013-04-01: roc_auc")).to_be_visible()


def test_the_gateway_s_page_shows_the_champion_serving(page: Page, up: Any) -> None:
    page.goto(f"{up.url('gateway')}/fleet")
    row = page.get_by_role("row").filter(has_text=MODEL)
    expect(row).to_contain_text("serving")
    row.get_by_role("link", name=MODEL).click()
    expect(page.get_by_text("was promoted to champion")).to_be_visible()
    page.get_by_role("link", name="Dagster: the road to the endpoint").click()
    expect(page.get_by_text("Latest materialization")).to_be_visible()


def test_no_service_logged_an_error(up: Any) -> None:
    for log in sorted(Path(up.home).glob("*.log")):
        assert "Traceback" not in log.read_text(), log.name
