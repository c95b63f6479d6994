"""The windows of all models at a glance: what a page of a thousand models shows, read without any body."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import sqlalchemy as sa


class WindowGlance(NamedTuple):
    """A window that was looked at, at a glance.

    Attributes:
        model: Model name.
        owner: Who answers for it.
        risk: Its risk.
        metric: Its primary metric.
        start: When the window starts, naive UTC.
        end: When it ends, exclusive.
        served: Rows answered.
        measured: The metric on the labels that are known; None if there are none.
        estimated: The same before labels; None if it was not estimated.
        drifted: How many columns of inputs had drifted.
        alarms: How many alarms there were.
        harm: Whether the model did harm, measured on labels.
        cost: Of 1,000 predictions; None if not known.
    """

    model: str
    owner: str
    risk: str
    metric: str
    start: datetime
    end: datetime
    served: int
    measured: float | None
    estimated: float | None
    drifted: int
    alarms: int
    harm: bool
    cost: float | None


@dataclass(frozen=True, slots=True)
class ModelOverview:
    """One model's last windows at a glance.

    Attributes:
        windows: Oldest first; at least one.
    """

    windows: tuple[WindowGlance, ...]

    @property
    def newest(self) -> WindowGlance:
        """The newest window."""
        return self.windows[-1]

    @property
    def measured(self) -> WindowGlance | None:
        """The newest window whose metric was measured."""
        return next((each for each in reversed(self.windows) if each.measured is not None), None)

    @property
    def estimated(self) -> WindowGlance | None:
        """The newest window whose metric was estimated."""
        return next((each for each in reversed(self.windows) if each.estimated is not None), None)

    @property
    def harm(self) -> bool:
        """Whether the newest window that was measured showed harm."""
        return self.measured is not None and self.measured.harm


def glances(
    connection: "sa.Connection", table: "sa.Table", which: "sa.ColumnElement[bool]"
) -> list[WindowGlance]:
    """Return some windows at a glance, oldest first.

    Args:
        connection: A connection to the database of the fleet's state.
        table: The table of assessed windows.
        which: Which of them.
    """
    columns = (table.c[name] for name in WindowGlance._fields)
    query = table.select().with_only_columns(*columns).where(which).order_by(table.c.start)
    return [WindowGlance._make(row) for row in connection.execute(query)]


def overview(
    connection: "sa.Connection",
    table: "sa.Table",
    look_back: timedelta,
    windows: int,
    model: str | None = None,
) -> dict[str, ModelOverview]:
    """Return each model's last windows, the newest among them.

    One query for the newest windows, and one for each span that the last windows of some models lie in: as
    many as there are lengths of windows, if the fleet is watched at the same times.

    Args:
        connection: A connection to the database of the fleet's state.
        table: The table of assessed windows.
        look_back: Models whose newest window starts so much before the newest of all are left out. That is
            not reckoned from the present: a past that is replayed is to be seen as well.
        windows: How many windows of each model, at most.
        model: Of this model only.
    """
    import sqlalchemy as sa

    c = table.c
    asked = sa.true() if model is None else c.model == model
    newest_of_all = connection.scalar(sa.select(sa.func.max(c.start)).where(asked))
    if newest_of_all is None:
        return {}
    last = sa.select(c.model, sa.func.max(c.start).label("start")).where(asked).group_by(c.model)
    newest = last.having(sa.func.max(c.start) >= newest_of_all - look_back).subquery()
    is_newest = (c.model == newest.c.model) & (c.start == newest.c.start)
    spans: dict[tuple[datetime, datetime], list[str]] = {}
    for row in connection.execute(sa.select(c.model, c.start, c.end).join(newest, is_newest)):
        length = max(row.end - row.start, timedelta(seconds=1))
        spans.setdefault((row.end - windows * length, row.start), []).append(row.model)
    seen: dict[str, list[WindowGlance]] = {}
    for span, models in spans.items():
        for window in glances(connection, table, c.start.between(*span) & c.model.in_(models)):
            seen.setdefault(window.model, []).append(window)
    return {name: ModelOverview(tuple(found[-windows:])) for name, found in seen.items()}
