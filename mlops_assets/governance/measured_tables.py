"""What gates measured, as tables for a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import to_json

from mlops_assets.governance.card_facts import GroupFigure
from mlops_assets.verdict import Verdict

Row = dict[str, Any]

FIGURES = ("gate", "figure", "value", "low", "high", "counts", "limit", "demanded", "kept", "note")
GROUPS = ("column", "group", "rows", "figure", "value", "low", "high")

# Spreadsheets take what begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def figure_rows(verdicts: Iterable[Verdict]) -> list[Row]:
    """Return every figure of every gate, and whether it kept the limit it was held to."""
    return [
        {
            "gate": verdict.gate,
            "figure": figure.name,
            "value": figure.value,
            "low": figure.low,
            "high": figure.high,
            "counts": figure.counts,
            "limit": figure.limit,
            "demanded": verdict.limits.get(figure.limit),
            "kept": figure.name not in {breach.figure for breach in verdict.breaches}
            if figure.limit in verdict.limits
            else None,
            "note": figure.note,
        }
        for verdict in verdicts
        for figure in verdict.measurement.figures
    ]


def group_rows(figures: Iterable[GroupFigure]) -> list[Row]:
    """Return every figure of every group."""
    return [
        {
            "column": one.column,
            "group": one.value,
            "rows": one.rows,
            "figure": one.figure.name,
            "value": one.figure.value,
            "low": one.figure.low,
            "high": one.figure.high,
        }
        for one in figures
    ]


def as_csv(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    """Return rows as CSV; text that a spreadsheet would take for a formula gets an apostrophe before it."""
    written = io.StringIO()
    writer = csv.DictWriter(written, columns)
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return written.getvalue().encode()


def as_json(value: Any) -> bytes:
    """Return a JSON value as people read it; what is not a number is a word."""
    return to_json(value, indent=1, inf_nan_mode="strings") + b"\n"


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
