"""The fleet page and a model's page in a real browser, from a real gateway process, without JavaScript."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from mlops_assets_tests.environments import nothing_declared
from mlops_assets_tests.fleets import Fleet, constant, serve
from mlops_assets_tests.platform_histories import PlatformHistory, WatchedCourse

pytestmark = [pytest.mark.slow, pytest.mark.browser]

COURSES = (
    WatchedCourse("churn", "team:growth", "limited"),
    WatchedCourse("credit", "team:risk", "high", fell=0.1, drifted=("income",)),
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway with two models of two teams, of which one did harm and has an incident."""
    from mlops_assets.home import Home

    with nothing_declared():
        fleet = Fleet(Home(tmp_path_factory.mktemp("pages") / "home"))
        history = PlatformHistory(fleet.home)
        for course in COURSES:
            fleet.promote(course.model, fleet.add(constant(course.model, 1.0)).version)
            history.windows(course)
        history.incident(COURSES[1], "performance", "roc_auc", harm="measured")
        history.audit.append("promote", "credit", actor="ann", reason="it is better", version="1")
        with serve(fleet) as running:
            yield running.url


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
        )
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


def test_a_reader_finds_a_model_by_keyboard_alone_and_without_javascript(page: Page, url: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{url}/fleet")
    expect(page.get_by_role("row")).to_have_count(3)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    search = page.get_by_role("searchbox", name="Model or owner")
    for _ in range(10):  # past what there is to tell at a glance
        if search.evaluate("element => element === document.activeElement"):
            break
        page.keyboard.press("Tab")
    expect(search).to_be_focused()
    page.keyboard.type("RISK")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row")).to_have_count(2)
    expect(search).to_have_value("RISK")
    page.get_by_role("link", name="credit").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("credit")
    expect(page.get_by_text("version 1 was promoted to champion")).to_be_visible()
    assert all(each.startswith(url) for each in asked), "nothing is fetched from elsewhere"


def test_what_is_seen_is_said_too(page: Page, url: str) -> None:
    page.goto(f"{url}/fleet")
    for landmark in ("main", "search"):
        expect(page.get_by_role(landmark)).to_have_count(1)
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="credit"))
    course = page.get_by_role("img", name="roc_auc over 30 windows to")
    expect(row.locator("svg")).to_have_count(1)
    expect(course).to_have_count(2)
    expect(row).to_contain_text("harm")
    expect(row).to_contain_text("1, page")
    by_model = page.get_by_role("columnheader", name="model", exact=True)
    expect(by_model).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("link", name="model", exact=True).first.click()
    expect(by_model).to_have_attribute("aria-sort", "descending")
    expect(page.get_by_role("rowheader")).to_have_text(["credit", "churn"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/fleet", "/fleet/credit"])
def test_nothing_is_cut_off_on_a_narrow_screen(
    browser: Browser, url: str, path: str, scheme: str, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(url + path)
    widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1], "wide tables scroll by themselves"
    # WCAG 2.1, 1.4.3: 4.5 to 1 for text of this size, whatever its kind.
    for kind in ("h1", ".quiet", ".good, .bad", "caption", "thead th"):
        ratio = page.locator(kind).first.evaluate(_CONTRAST)
        assert ratio >= 4.5, (kind, ratio)
    context.close()


_CONTRAST = """element => {
  const light = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [a, b] = [light(getComputedStyle(element).color),
    light(getComputedStyle(document.body).backgroundColor)].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
}"""
