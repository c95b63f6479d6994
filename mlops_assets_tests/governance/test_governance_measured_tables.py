"""What gates measured, as tables that a spreadsheet and a program read alike."""

import csv
import io
import json
import math

from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.governance.measured_tables import (
    FIGURES,
    GROUPS,
    as_csv,
    as_json,
    figure_rows,
    group_rows,
)
from mlops_assets.specs.gate_rules import DataContractRules
from mlops_assets.verdict import Figure, Measurement, judge
from mlops_assets_tests.governance.cards import small_card


def read(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_a_figure_tells_its_limit_and_whether_it_was_kept() -> None:
    measured = Measurement(
        gate="data_contract",
        summary="",
        figures=(
            Figure(name="failed", value=2, low=1.5, limit="max_failed", note="a, b"),
            Figure(name="rows", value=7),
        ),
    )
    rows = figure_rows([judge(measured, DataContractRules(required=True, max_failed=1))])
    failed, told = read(as_csv(FIGURES, rows))
    assert failed == {"gate": "data_contract", "figure": "failed", "value": "2.0", "low": "1.5", "high": "",
                      "counts": "value", "limit": "max_failed", "demanded": "1.0", "kept": "False",
                      "note": "a, b"}  # fmt: skip
    assert (told["figure"], told["limit"], told["demanded"], told["kept"]) == ("rows", "", "", "")


def test_every_figure_of_every_group_is_a_row() -> None:
    rows = read(as_csv(GROUPS, group_rows(small_card().by_group)))
    assert [(row["column"], row["group"], row["rows"], row["value"]) for row in rows] == [
        ("b", "red", "150", "0.8"),
        ("b", "blue", "50", "0.7"),
    ]


@given(text=st.text(min_size=1, max_size=20), value=st.floats(allow_nan=True))
def test_no_text_becomes_a_formula_and_no_number_becomes_text(text: str, value: float) -> None:
    written = as_csv(("text", "value"), [{"text": text, "value": value}]).decode()
    _, (told, number) = csv.reader(io.StringIO(written, newline=""))
    assert told in (text, f"'{text}")
    assert not told.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert float(number) == value or math.isnan(value)


def test_json_knows_what_is_not_a_number_as_a_word() -> None:
    assert json.loads(as_json([{"value": math.inf, "ä": None}])) == [{"value": "Infinity", "ä": None}]
    assert "ä" in as_json("ä").decode()
