"""The windows of all models at a glance: what a page of a thousand models shows, read without any body."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlalchemy as sa


class Glance(NamedTuple):
    """One window at a glance.

    Attributes:
        start: When it starts, naive UTC.
        end: When it ends, exclusive.
        measured: The primary metric on the labels that are known; None if there are none.
        estimated: The same before labels; None if it was not estimated.
        harm: Whether the model did harm, measured on labels.
    """

    start: datetime
    end: datetime
    measured: float | None
    estimated: float | None
    harm: bool


@dataclass(frozen=True, slots=True)
class ModelOverview:
    """One model's last windows at a glance.

    Attributes:
        model: Model name.
        owner: Who answers for it.
        risk: Its risk.
        metric: Its primary metric.
        as_of: As of when its newest window was looked at last, naive UTC.
        served: Rows of the newest window.
        drifted: How many columns of inputs had drifted in it.
        alarms: How many alarms it raised.
        cost: Of 1,000 predictions; None if not known.
        windows: The last windows, oldest first; at least one.
    """

    model: str
    owner: str
    risk: str
    metric: str
    as_of: datetime
    served: int
    drifted: int
    alarms: int
    cost: float | None
    windows: tuple[Glance, ...]

    @property
    def measured(self) -> Glance | None:
        """The newest window whose metric was measured."""
        return next((each for each in reversed(self.windows) if each.measured is not None), None)

    @property
    def estimated(self) -> Glance | None:
        """The newest window whose metric was estimated."""
        return next((each for each in reversed(self.windows) if each.estimated is not None), None)

    @property
    def harm(self) -> bool:
        """Whether the newest window that was measured showed harm."""
        return self.measured is not None and self.measured.harm


def overview(
    connection: "sa.Connection", table: "sa.Table", since: datetime, windows: int, model: str | None = None
) -> dict[str, ModelOverview]:
    """Return each model's newest window, and its last ones for a sparkline.

    One query for the newest windows, and one for each span that the last windows of some models lie in: as
    many as there are lengths of windows, if the fleet is watched at the same times.

    Args:
        connection: A connection to the database of the fleet's state.
        table: The table of assessed windows.
        since: Models whose newest window starts before are left out.
        windows: How many windows of each model, at most.
        model: Of this model only.
    """
    import sqlalchemy as sa

    last = sa.select(table.c.model, sa.func.max(table.c.start).label("start")).group_by(table.c.model)
    last = last.having(sa.func.max(table.c.start) >= since)
    if model is not None:
        last = last.where(table.c.model == model)
    newest = last.subquery()
    shown = [column for column in table.c if column.name not in ("body", "told")]
    is_newest = (table.c.model == newest.c.model) & (table.c.start == newest.c.start)
    rows = connection.execute(sa.select(*shown).join(newest, is_newest)).all()
    spans: dict[tuple[datetime, datetime], list[str]] = {}
    for row in rows:
        length = max(row.end - row.start, timedelta(seconds=1))
        spans.setdefault((row.end - windows * length, row.start), []).append(row.model)
    seen: dict[str, list[Glance]] = {}
    for (first, until), models in spans.items():
        _read(connection, table, (first, until), models, seen)
    return {
        row.model: ModelOverview(
            row.model,
            row.owner,
            row.risk,
            row.metric,
            row.as_of,
            row.served,
            row.drifted,
            row.alarms,
            row.cost,
            tuple(seen[row.model][-windows:]),
        )
        for row in rows
    }


def _read(
    connection: "sa.Connection",
    table: "sa.Table",
    span: tuple[datetime, datetime],
    models: Sequence[str],
    seen: dict[str, list[Glance]],
) -> None:
    """Add the windows of some models in a span, oldest first."""
    import sqlalchemy as sa

    c = table.c
    query = sa.select(c.model, c.start, c.end, c.measured, c.estimated, c.harm)
    query = query.where(c.start.between(*span)).order_by(c.start)
    for row in connection.execute(query.where(c.model.in_(models))):
        seen.setdefault(row[0], []).append(Glance._make(row[1:]))
