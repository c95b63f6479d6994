"""Model card and data sheet as pages: all is told, nothing comes from elsewhere, no text becomes markup."""

import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mlops_assets.governance.card_facts import CardFacts
from mlops_assets.governance.documents import Document, data_sheet, model_card
from mlops_assets.governance.frameworks import Heading
from mlops_assets.verdict import Figure
from mlops_assets_tests.governance.cards import small_card

MAKERS = pytest.mark.parametrize("make", [model_card, data_sheet])
Make = Callable[[CardFacts], Document]
HOSTILE = (
    "<script>alert(1)</script>\"'>]]> &amp; [x](javascript:alert(1)) ![i](http://e.example/i.png) "
    "`c` **b** | {{ 7*7 }}\n# h\n- l"
)


class _Elements(HTMLParser):
    """Counts elements with their attributes' names, and gathers the text and the attributes' values."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: Counter[tuple[str, ...]] = Counter()
        self.text: list[str] = []
        self.values: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[tag, *(name for name, _ in attrs)] += 1
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def said(page: str) -> str:
    return " ".join(" ".join(_Elements(page).text).split())


def as_html(document: Document) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(document.markdown)


def test_the_card_tells_everything() -> None:
    document = model_card(small_card())
    for page in (said(document.html), said(as_html(document))):
        for told in (
            "small", "version 7", "Refused by fairness", "Stand for a team's model in a test.", "team:tests",
            "Not for people.", "Nobody.", "Drift.", "CSV rows.csv", "1,200", "pkg.Estimator", "depth = 3",
            "0.8 (0.75 to 0.85)", "≥ 0.7", "red", "150", "the gap is too wide", "Good",
            "2024-07-02 00:00 UTC",
            "each day, judged from 200 labelled rows on", "1" * 64, "EU AI Act Annex IV 2(g)", "NIST AI RMF",
        ):  # fmt: skip
            assert told in page, told


def test_the_data_sheet_tells_every_column_and_what_the_gates_on_data_found() -> None:
    document = data_sheet(small_card())
    for page in (said(document.html), said(as_html(document))):
        for told in ("a", "feature", "≥ 0", "sensitive", "25 %", "red", "75 %", "what data_contract found"):
            assert told in page, told
        assert "what metric_thresholds found" not in page


def test_every_heading_that_the_frameworks_know_is_in_the_card() -> None:
    document = model_card(small_card())
    for page in (document.html, as_html(document)):
        assert re.findall(r"<h2[^>]*>([^<]+)", page) == list(get_args(Heading))


def test_a_card_of_which_little_is_known_says_what_is_missing() -> None:
    facts = small_card(
        version="", metrics=(), by_group=(), calibration=(), verdicts=(), approvals=(), versions={}
    )
    facts = facts.model_copy(update={"limits": ""})
    document = model_card(facts)
    for page in (said(document.html), said(as_html(document))):
        assert "No gate has judged this version yet." in page
        assert "Not written. The spec's card.limits is where it belongs." in page
        assert "Nobody has decided about this version." in page
    assert data_sheet(facts).html


def test_groups_that_fare_worst_come_first() -> None:
    page = said(model_card(small_card()).html)
    assert page.index("blue 50") < page.index("red 150")
    losses = tuple(
        group.model_copy(update={"figure": group.figure.model_copy(update={"name": "brier"})})
        for group in small_card().by_group
    )
    page = said(model_card(small_card(by_group=losses)).html)
    assert page.index("red 150") < page.index("blue 50")


def test_all_figures_of_a_group_stand_in_one_row() -> None:
    red, blue = small_card().by_group
    rate = red.model_copy(update={"figure": Figure(name="selection_rate", value=0.31)})
    document = model_card(small_card(by_group=(red, blue, rate)))
    for page in (said(document.html), said(as_html(document))):
        assert page.index("blue 50 0.7") < page.index("red 150 0.8")
        assert "0.31" in page[page.index("red 150") :]
    assert "selection rate" in said(document.html)


@MAKERS
def test_no_text_becomes_markup(make: Make) -> None:
    plain, hostile = make(small_card(" x")), make(small_card(HOSTILE))
    assert _Elements(hostile.html).found == _Elements(plain.html).found
    assert _Elements(as_html(hostile)).found == _Elements(as_html(plain)).found
    assert "<script>alert(1)</script>" in said(hostile.html)
    assert "<script>alert(1)</script>" in said(as_html(hostile))
    assert "{{ 7*7 }}" in said(hostile.html)


@settings(max_examples=30)
@given(text=st.text(st.sampled_from("<>&\"'`*_[]()!#|\\~$-+=.:/1a \n\t"), max_size=12))
def test_whatever_is_written_stays_text(text: str) -> None:
    written = small_card(f"x{text}x").model_copy(update={"purpose": f"{text}x"})
    for make in (model_card, data_sheet):
        document, plain = make(written), make(small_card("xx"))
        assert _Elements(document.html).found == _Elements(plain.html).found
        assert _Elements(as_html(document)).found == _Elements(as_html(plain)).found


@MAKERS
def test_a_page_needs_nothing_but_itself(make: Make) -> None:
    page = make(small_card()).html
    elements = _Elements(page)
    assert not {tag for tag, *_ in elements.found} & {
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "form",
        "base",
    }
    assert not [value for value in elements.values if re.search(r"^\s*(https?:|//|javascript:)|url\(", value)]
    assert "@import" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert "width=device-width" in page


@MAKERS
def test_the_same_facts_give_the_same_pages(make: Make) -> None:
    again = CardFacts.model_validate_json(small_card().model_dump_json())
    assert make(small_card()) == make(again)


def test_figures_that_were_not_measured_are_a_dash_and_break_no_picture() -> None:
    unknown = Figure(name="roc_auc", value=None)
    nan = Figure(name="brier", value=float("nan"), low=float("nan"), high=float("nan"))
    groups = tuple(
        g.model_copy(update={"figure": f}) for g, f in zip(small_card().by_group, (unknown, nan), strict=True)
    )
    page = model_card(small_card(metrics=(unknown, nan), by_group=groups)).html
    assert "–" in said(page)
    assert not [v for v in _Elements(page).values if v == "nan"]
