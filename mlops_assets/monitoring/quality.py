"""Quality of served inputs: what the contract says of training data, asked of requests."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mlops_assets.data.columns import refused
from mlops_assets.specs.model_spec import Column
from mlops_assets.verdict import Finding

if TYPE_CHECKING:
    import pandas as pd

# A column that may have gaps is worth a word when it has many more of them than it used to.
MORE_MISSING = 0.1


def measure_quality(
    rows: "pd.DataFrame", columns: Iterable[Column], reference: "pd.DataFrame | None" = None
) -> list[Finding]:
    """Return one finding per column and kind of trouble: wrong type, missing, out of range, not allowed.

    Args:
        rows: Served inputs as :func:`mlops_assets.data.columns.to_declared_types` returns them.
        columns: The declarations.
        reference: Hold-out rows, which tell how many gaps a nullable column used to have.
    """
    findings: list[Finding] = []
    for column in columns:
        values = rows[column.name]
        missing = values.isna()
        if (name := refused(column)) in rows:
            wrong = rows[name].notna()
            findings += findings_of(column.name, f"not of type {column.type}", wrong, rows[name])
            missing &= ~wrong
        if not column.nullable:
            findings += findings_of(column.name, "missing", missing, values)
        elif reference is not None and missing.mean() > reference[column.name].isna().mean() + MORE_MISSING:
            findings += findings_of(column.name, "missing more often than in the hold-out", missing, values)
        if column.range is not None:
            low, high = column.range
            outside = missing & False
            if low is not None:
                outside |= values < low
            if high is not None:
                outside |= values > high
            findings += findings_of(column.name, f"outside {low} … {high}", outside, values)
        if column.allowed is not None:
            strange = values.notna() & ~values.isin(column.allowed)
            findings += findings_of(column.name, "not an allowed value", strange, values)
    return findings


def findings_of(column: str, problem: str, bad: "pd.Series[bool]", values: "pd.Series[Any]") -> list[Finding]:
    """Return a finding on the rows that are marked, or none if none is."""
    if (count := int(bad.sum())) == 0:
        return []
    examples = ", ".join(map(str, values[bad].dropna().unique()[:5]))
    share = count / len(values)
    return [{"column": column, "problem": problem, "rows": count, "share": share, "values": examples}]
