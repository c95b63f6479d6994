"""Take the pictures of the gateway's fleet page and of a model's page, for the reference on monitoring.

A real gateway serves a dozen models; what the platform's database holds of them is made up, and filed by
the platform's own ways. Half a minute:

    python docs/images/take_fleet.py
"""

import io
import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from mlops_assets.gateway_client import GatewayClient
from mlops_assets.governance import audit_chain
from mlops_assets.home import Home
from mlops_assets.monitoring.incidents.change import Change
from mlops_assets_tests.fleets import Fleet, constant, serve
from mlops_assets_tests.platform_histories import DAY, PlatformHistory, WatchedCourse

_HERE = Path(__file__).parent
_COURSES = (
    WatchedCourse("basket_size", "team:shop", "minimal", "rmse", 3.4, cost=0.008),
    WatchedCourse("card_fraud", "team:payments", "high", "pr_auc", 0.71, cost=0.052),
    WatchedCourse("churn", "team:growth", "limited", level=0.83, drifted=("plan",), cost=0.021),
    WatchedCourse("claim_triage", "team:claims", "high", "roc_auc", 0.88, 0.09, ("region", "channel")),
    WatchedCourse("courier_eta", "team:logistics", "limited", "mae", 6.2, -1.1, ("rain_mm",), cost=0.012),
    WatchedCourse("credit_default", "team:risk", "high", level=0.79, cost=0.044),
    WatchedCourse("demand_hourly", "team:logistics", "limited", "mae", 41.0, cost=0.017),
    WatchedCourse("lead_score", "team:growth", "minimal", level=0.74, cost=0.015),
    WatchedCourse("mail_spam", "team:platform", "minimal", "f1", 0.94, cost=0.006),
    WatchedCourse("no_show", "team:clinic", "high", level=0.77, cost=0.038),
    WatchedCourse("price_elasticity", "team:shop", "limited", "rmse", 1.9, cost=0.027),
    WatchedCourse("ticket_routing", "team:support", "minimal", "f1", 0.86, cost=0.019),
)
# How many days ago, what, by whom, why, and what else.
_PAST: tuple[tuple[int, str, str, str, dict[str, Any]], ...] = (
    (41, "register", "retraining", "every required gate passed", {}),
    (40, "rollout", "rollouts", "every required gate passed", {"step": "shadow"}),
    (39, "rollout", "rollouts", "the shadow held", {"step": "canary 5 %"}),
    (37, "rollout", "rollouts", "canary 5 % held", {"step": "canary 25 %"}),
    (35, "promote", "rollouts", "every step of the canary held", {}),
    (7, "drill", "schedule", "version 1 was followed after 0.41 s", {}),
)
_CLAIMS, _COURIER, _CHURN = "claim_triage", "courier_eta", "churn"
# A picture needs no thirty rows to show what they look like.
_SHORTER = """document.querySelectorAll('tbody').forEach(
  body => [...body.rows].slice(12).forEach(row => row.remove()))"""


def main() -> None:
    """Take both pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("chromium is not installed")
    os.environ |= {"MLOPS_DAGSTER_UI": "http://127.0.0.1:3000", "MLOPS_MLFLOW_UI": "http://127.0.0.1:5000"}
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(Home(Path(folder) / "home"))
        for course in _COURSES:
            for value in (1.0, 2.0):
                version = fleet.add(constant(course.model, value)).version
                fleet.hand_over(course.model, version)
        _tell(PlatformHistory(fleet.home))
        with serve(fleet) as running, sync_playwright() as playwright:
            _ask(running.url)
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page(viewport={"width": 1500, "height": 1000}, color_scheme="light")
            for path, name in (("/fleet?sort=incidents", "fleet"), (f"/fleet/{_CLAIMS}", "fleet-model")):
                page.goto(running.url + path)
                page.evaluate(_SHORTER)
                _save(page.screenshot(full_page=True), name)
            browser.close()


def _tell(history: PlatformHistory) -> None:
    """File what happened to the models."""
    ids = {
        course.model: history.windows(replace(course, version="2"), seed=n)
        for n, course in enumerate(_COURSES)
    }
    for n, course in enumerate(_COURSES):
        for days, action, actor, reason, more in _PAST:
            # The audit chain has no other clock than the machine's.
            audit_chain.utc_now = lambda back=days + n % 5: history.until - back * DAY + 0.37 * DAY
            failed = {"passed": n != 7} if action == "drill" else {}
            said = {"version": "2", "previous": "1", **more, **failed}
            history.audit.append(action, course.model, actor=actor, reason=reason, **said)
    courses = {course.model: course for course in _COURSES}
    effect = "roc_auc 0.79 instead of 0.88"
    incident = history.incident(courses[_CLAIMS], "performance", "roc_auc", harm="measured", effect=effect)
    history.acknowledge(incident.id, "on-call", "the new claim form leaves the region empty; its team knows")
    moved = Change(move="location")
    history.incident(courses[_COURIER], "data_drift", "rain_mm", change=moved, harm="estimated")
    history.incident(courses[_CHURN], "data_drift", "plan", change=moved)
    history.decide(ids[_CLAIMS][-6], "harm", False, "it waits for the incident about its data")
    history.decide(ids[_CLAIMS][-4], "harm", True, "roc_auc is worse than on the hold-out by 0.09")


def _ask(url: str) -> None:
    """Be the models' callers."""
    import pandas as pd

    client = GatewayClient(url)
    for n, course in enumerate(_COURSES):
        for _ in range(20 + 13 * n % 50):
            client.infer(course.model, pd.DataFrame({"x": [0.5] * (1 + n)}))
    client.close()


def _save(picture: bytes, name: str) -> None:
    path = _HERE / f"{name}.png"
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size // 1024} kB, {image.size}", flush=True)


if __name__ == "__main__":
    main()
