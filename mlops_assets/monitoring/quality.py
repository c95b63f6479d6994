"""Quality of served inputs: what the contract says of training data, asked of requests."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mlops_assets.specs.model_spec import Column
from mlops_assets.verdict import Finding

if TYPE_CHECKING:
    import pandas as pd


def measure_quality(rows: "pd.DataFrame", columns: Iterable[Column]) -> list[Finding]:
    """Return one finding per column and kind of trouble: missing, out of range, not allowed.

    Args:
        rows: Served inputs in their declared types.
        columns: The declarations.
    """
    findings: list[Finding] = []

    def report(column: Column, problem: str, bad: "pd.Series[bool]") -> None:
        if (count := int(bad.sum())) > 0:
            values = rows.loc[bad, column.name].dropna().unique()[:5].tolist()
            findings.append(
                {
                    "column": column.name,
                    "problem": problem,
                    "rows": count,
                    "share": count / len(rows),
                    "values": ", ".join(map(str, values)),
                }
            )

    for column in columns:
        values = rows[column.name]
        if not column.nullable:
            report(column, "missing", values.isna())
        if column.range is not None:
            low, high = column.range
            outside = values.lt(low) if low is not None else values.isna() & False
            if high is not None:
                outside = outside | values.gt(high)
            report(column, f"outside {low} … {high}", outside)
        if column.allowed is not None:
            report(column, "not an allowed value", values.notna() & ~values.isin(column.allowed))
    return findings
