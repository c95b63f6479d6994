"""The tables of incidents, in the database of the fleet's state."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa

INCIDENTS, HIT, STREAMS = "incidents", "incident_models", "incident_streams"
EVENTS, NOTICES = "incident_events", "incident_notices"


def declare(metadata: "sa.MetaData") -> None:
    """Add the tables.

    The body of an incident is the incident. The columns beside it are for finding and listing it.
    """
    import sqlalchemy as sa

    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    sa.Table(
        INCIDENTS,
        metadata,
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("suspect", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("resolved_at", sa.DateTime),
        sa.Column("last_alarm_at", sa.DateTime, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Index("incidents_by_state", "state", "resolved_at"),
        sa.Index("incidents_by_time", "last_alarm_at"),
        sqlite_autoincrement=True,
    )
    sa.Table(
        HIT,
        metadata,
        sa.Column("incident", number, primary_key=True, autoincrement=False),
        sa.Column("model", sa.String(64), primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Index("incident_models_by_model", "model"),
    )
    # What is told of one stream again and again is one row: a long incident stays small.
    sa.Table(
        STREAMS,
        metadata,
        sa.Column("incident", number, primary_key=True, autoincrement=False),
        sa.Column("stream", sa.String(32), primary_key=True),
        sa.Column("last_end", sa.DateTime, nullable=False),
        sa.Column("windows", sa.Integer, nullable=False),
        sa.Column("first", sa.Text, nullable=False),
        sa.Column("newest", sa.Text, nullable=False),
        sa.Index("incident_streams_by_stream", "stream"),
    )
    sa.Table(
        EVENTS,
        metadata,
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("incident", number, index=True, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    sa.Table(
        NOTICES,
        metadata,
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("incident", number, nullable=False),
        sa.Column("variable", sa.Text, nullable=False),
        sa.Column("occasion", sa.String(16), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", sa.DateTime, nullable=False),
        sa.Index("incident_notices_by_state", "state", "due_at"),
    )
