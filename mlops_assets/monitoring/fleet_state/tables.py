"""The tables of the fleet's state."""

from dataclasses import fields
from typing import TYPE_CHECKING

from mlops_assets.database import Database
from mlops_assets.monitoring.retraining.gain import Outcome

if TYPE_CHECKING:
    import sqlalchemy as sa

ASSESSMENTS, HISTORY = "assessed_windows", "window_history"
DECISIONS, TRAININGS = "decisions_to_retrain", "trainings"
CANDIDATES, OUTCOMES = "trained_candidates", "retraining_outcomes"


class StateDatabase:
    """The tables in any database SQLAlchemy reaches.

    Args:
        url: SQLAlchemy URL.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url, "fleet state", declare)


def declare(metadata: "sa.MetaData") -> None:
    """Add the tables of the fleet's state."""
    import sqlalchemy as sa

    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    sa.Table(
        ASSESSMENTS,
        metadata,
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("start", sa.DateTime, nullable=False, index=True),
        sa.Column("end", sa.DateTime, nullable=False),
        sa.Column("as_of", sa.DateTime, nullable=False),
        sa.Column("harm", sa.Boolean, nullable=False),
        # At a glance, so that a page of a thousand models reads no bodies.
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("risk", sa.String(16), nullable=False),
        sa.Column("metric", sa.String(32), nullable=False),
        sa.Column("served", sa.BigInteger, nullable=False),
        sa.Column("measured", sa.Float),
        sa.Column("estimated", sa.Float),
        sa.Column("drifted", sa.Integer, nullable=False),
        sa.Column("alarms", sa.Integer, nullable=False),
        sa.Column("cost", sa.Float),
        sa.Column("told", sa.Boolean, nullable=False, index=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("model", "start"),
        sqlite_autoincrement=True,
    )
    # Apart from what is shown: blobs that only the next pass reads.
    sa.Table(
        HISTORY,
        metadata,
        sa.Column("model", sa.String(64), primary_key=True),
        sa.Column("version", sa.String(32), primary_key=True),
        sa.Column("start", sa.DateTime, primary_key=True),
        sa.Column("recent", sa.LargeBinary, nullable=False),
        sa.Column("lasting", sa.LargeBinary, nullable=False),
    )
    sa.Table(
        DECISIONS,
        metadata,
        sa.Column("assessment_id", number, primary_key=True, autoincrement=False),
        sa.Column("model", sa.String(64), index=True, nullable=False),
        sa.Column("as_of", sa.DateTime, nullable=False),
        sa.Column("trigger", sa.String(16)),
        sa.Column("retrain", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    sa.Table(
        CANDIDATES,
        metadata,
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("candidate", sa.String(64), unique=True, nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
    )
    sa.Table(
        OUTCOMES,
        metadata,
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("candidate", sa.String(64), nullable=False),
        sa.Column("against", sa.String(64), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        *(sa.Column(field.name, sa.Float, nullable=False) for field in fields(Outcome)),
        sa.UniqueConstraint("candidate", "against"),
    )
    sa.Table(
        TRAININGS,
        metadata,
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("model", sa.String(64), index=True, nullable=False),
        sa.Column("as_of", sa.DateTime, nullable=False),
    )
