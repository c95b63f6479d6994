"""What waiting was expected to lose, by window: no restart forgets it, and no second look adds to it."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.database import Database

if TYPE_CHECKING:
    import sqlalchemy as sa

_TABLE = "missed_gains"


@dataclass(frozen=True)
class MissedGain:
    """What a training was expected to gain when a window was first decided about.

    Attributes:
        model: Model name.
        start: When the window starts.
        end: When it ends, exclusive.
        share: Share of the loss, as a logarithm; not negative.
    """

    model: str
    start: datetime
    end: datetime
    share: float


class MissedGains:
    """Missed gains in any database SQLAlchemy reaches.

    Args:
        url: SQLAlchemy URL.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url, "missed gains", _declare)

    def count(self, missed: Collection[MissedGain]) -> None:
        """Count windows; of one that was counted before, what was counted first stays."""
        if not missed:
            return
        table = self._database.tables[_TABLE]
        by_window = {(each.model, each.start): each for each in reversed(list(missed))}
        models, starts = ({each.model for each in missed}, {each.start for each in missed})
        same = table.c.model.in_(models) & table.c.start.in_(starts)
        with self._database.begin_alone() as connection:
            for row in connection.execute(table.select().where(same)).all():
                by_window.pop((row.model, row.start), None)
            if by_window:
                connection.execute(table.insert(), [asdict(each) for each in by_window.values()])

    def since(self, trained: Mapping[str, datetime | None]) -> dict[str, float]:
        """Return by model what the windows that ended since its last training were expected to lose.

        Args:
            trained: When each model that is asked for was trained last; None if it never was.
        """
        if not trained:
            return {}
        import sqlalchemy as sa

        table = self._database.tables[_TABLE]
        lost = sa.select(sa.func.sum(table.c.share))
        with self._database.begin() as connection:
            # One short question a model: a training of long ago must not have the windows of all others read.
            return {
                model: connection.scalar(
                    lost.where(table.c.model == model, table.c.end > (at or datetime.min))
                )
                or 0.0
                for model, at in trained.items()
            }


def _declare(metadata: "sa.MetaData") -> None:
    import sqlalchemy as sa

    sa.Table(
        _TABLE,
        metadata,
        sa.Column("model", sa.String(64), primary_key=True),
        sa.Column("start", sa.DateTime, primary_key=True),
        sa.Column("end", sa.DateTime, nullable=False),
        sa.Column("share", sa.Float, nullable=False),
    )
