"""What people are told of an incident: who, what, since when, what harm, why, and what to do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mlops_assets.monitoring.incidents.cause import named
from mlops_assets.monitoring.incidents.incident import Incident
from mlops_assets.monitoring.incidents.runbooks import runbook

_LONGEST_SUBJECT = 120
_LONGEST_LINE = 600
_HARM = {
    "measured": "measured on labels",
    "estimated": "estimated; labels are not there yet",
    "not_shown": "none shown",
}
_OCCASIONS = {
    "new": "",
    "back": "It is back.",
    "worse": "It got worse.",
    "reminder": "It still goes on.",
    "escalation": "Nobody has acknowledged it.",
}


@dataclass(frozen=True)
class Message:
    """What is sent.

    Attributes:
        subject: One line.
        plain: The same and more as text.
        markdown: As Markdown.
    """

    subject: str
    plain: str
    markdown: str


def message_of(incident: Incident, severity: str, occasion: str, runbooks: str | None) -> Message:
    """Return the message about an incident.

    Args:
        incident: The incident.
        severity: How bad it is for those who are told.
        occasion: Why they are told now.
        runbooks: Address of the folder with the runbooks; None for the repository's.
    """
    models = f"{len(incident.models)} model{'' if len(incident.models) == 1 else 's'}"
    subject = _line(f"[{severity}] #{incident.id} {incident.title} ({models})", _LONGEST_SUBJECT)
    rows = [(name, _line(text, _LONGEST_LINE)) for name, text in _rows(incident, runbooks) if text]
    opening = _OCCASIONS.get(occasion, "")
    acknowledge = f'mlops-assets incidents ack {incident.id} --reason "…"'
    show = f"mlops-assets incidents show {incident.id}"
    return Message(
        subject=subject,
        plain="\n".join(_plain(subject, opening, rows, acknowledge, show)),
        markdown="\n".join(_markdown(opening, rows, acknowledge, show)),
    )


def _rows(incident: Incident, runbooks: str | None) -> list[tuple[str, str]]:
    cause = incident.cause
    harm = _HARM[incident.harm] + (f": {incident.effect}" if incident.effect else "")
    return [
        ("What", incident.title),
        ("Who", incident.owner),
        ("Since", f"{cause.since:%Y-%m-%d %H:%M} UTC"),
        ("Harm", harm),
        ("Models hit", named(cause.hit)),
        ("Not hit", named(cause.spared)),
        ("Why this cause", cause.why),
        ("Runbook", runbook(incident.kind, runbooks)),
    ]


def _plain(
    subject: str, opening: str, rows: Sequence[tuple[str, str]], acknowledge: str, show: str
) -> list[str]:
    width = max(len(name) for name, _ in rows) + 1
    lines = [subject, "", *([opening, ""] if opening else [])]
    lines += [f"{name + ':':<{width}} {text}" for name, text in rows]
    return [*lines, "", f"To take charge of it: {acknowledge}", f"To see all of it: {show}"]


def _markdown(opening: str, rows: Sequence[tuple[str, str]], acknowledge: str, show: str) -> list[str]:
    lines = [f"**{opening}**", ""] if opening else []
    lines += [f"- **{name}:** {text if name == 'Runbook' else _escaped(text)}" for name, text in rows]
    return [*lines, "", f"To take charge of it: `{acknowledge}`", "", f"To see all of it: `{show}`"]


def _line(text: str, longest: int) -> str:
    """Return text on one line, without what would move a cursor or begin another line."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}…"


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it stands: values of columns come from outside."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", text)
