"""Word that has to go out, until it has: at least once each, by whichever pass comes next."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mlops_assets.database import Database
from mlops_assets.monitoring.incidents.filing import Filing
from mlops_assets.monitoring.incidents.incident import Event, Incident, What
from mlops_assets.monitoring.incidents.tables import NOTICES

if TYPE_CHECKING:
    import sqlalchemy as sa

# Between the first attempt and the second; each time it is doubled.
FIRST_PAUSE = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=6)
MOST_ATTEMPTS = 10
# Whoever took word along and did not say what became of it, died.
_PRESUMED_DEAD = timedelta(minutes=10)
_AT_ONCE = 200


@dataclass(frozen=True)
class Letter:
    """Word on its way.

    Attributes:
        id: Its number.
        incident: What it is about, as it is now.
        variable: Environment variable with the URL it goes to.
        occasion: Why it goes out.
        severity: How bad it is for those who are told.
        attempts: How often it was tried before.
    """

    id: int
    incident: Incident
    variable: str
    occasion: str
    severity: str
    attempts: int


class Outbox:
    """The queue of notices.

    Args:
        database: Where incidents are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, now: datetime) -> list[Letter]:
        """Return what is due, for nobody else to send meanwhile; whatever is over by now is let go."""
        with self._database.begin_alone() as connection:
            table = self._table
            due = table.c.state.in_(["waiting", "sending"]) & (table.c.due_at <= now)
            rows = connection.execute(table.select().where(due).order_by(table.c.id).limit(_AT_ONCE)).all()
            filing = Filing(connection, self._database.tables)
            letters = []
            for row in rows:
                incident = filing.incident(int(row.incident))
                if incident.state == "resolved":
                    self._settle(connection, int(row.id), "dropped")
                    text = f"{row.variable}: it was over before anybody could be told"
                    _note(filing, incident.id, now, "not_told", text)
                    continue
                self._settle(connection, int(row.id), "sending", due_at=now + _PRESUMED_DEAD)
                letters.append(
                    Letter(int(row.id), incident, row.variable, row.occasion, row.severity, row.attempts)
                )
            return letters

    def sent(self, letter: Letter, now: datetime) -> None:
        """Note that a letter was taken."""
        with self._database.begin_alone() as connection:
            self._settle(connection, letter.id, "sent")
            filing = Filing(connection, self._database.tables)
            _note(filing, letter.incident.id, now, "told", f"{letter.variable} ({letter.occasion})")

    def failed(self, letter: Letter, reason: str, now: datetime) -> None:
        """Note that a letter was not taken, and why; it is tried again later, a few times."""
        attempts = letter.attempts + 1
        last = attempts >= MOST_ATTEMPTS
        pause = min(FIRST_PAUSE * 2 ** (attempts - 1), LONGEST_PAUSE)
        with self._database.begin_alone() as connection:
            state = "given up" if last else "waiting"
            self._settle(connection, letter.id, state, attempts=attempts, due_at=now + pause)
            filing = Filing(connection, self._database.tables)
            further = (
                f"given up after {attempts} attempts" if last else f"again from {now + pause:%H:%M} UTC on"
            )
            text = f"{letter.variable} ({letter.occasion}): {reason}; {further}"
            _note(filing, letter.incident.id, now, "gave_up" if last else "not_told", text)

    def put_back(self, letter: Letter, now: datetime) -> None:
        """Note that there was no time to try a letter."""
        with self._database.begin_alone() as connection:
            self._settle(connection, letter.id, "waiting", due_at=now)

    @property
    def _table(self) -> "sa.Table":
        return self._database.tables[NOTICES]

    def _settle(self, connection: "sa.Connection", number: int, state: str, **values: object) -> None:
        table = self._table
        connection.execute(table.update().where(table.c.id == number).values(state=state, **values))


def _note(filing: Filing, number: int, now: datetime, what: What, text: str) -> None:
    filing.note(number, [Event(at=now, what=what, text=text)])
