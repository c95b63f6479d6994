"""Send what is in the outbox, within a time limit: who is slow or broken keeps nobody waiting."""

import logging
import os
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlops_assets.monitoring.incidents.message import message_of
from mlops_assets.monitoring.incidents.notifier import NotDeliveredError, Notifier
from mlops_assets.monitoring.incidents.outbox import Letter, Outbox
from mlops_assets.specs.alert_rules import Alerts

LIMIT = timedelta(seconds=15)
_AT_ONCE = 16

log = logging.getLogger("mlops_assets.incidents")


@dataclass(frozen=True)
class Delivered:
    """What became of the letters of one round.

    Attributes:
        sent: How many were taken.
        failed: How many were not; they are tried again by later rounds.
    """

    sent: int
    failed: int


def deliver(
    outbox: Outbox,
    notifier: Notifier,
    rules: Alerts,
    now: datetime,
    *,
    environment: Mapping[str, str] = os.environ,
    limit: timedelta = LIMIT,
) -> Delivered:
    """Send what is due, and return after a time limit at the latest, whatever notifiers do.

    What takes longer counts as not delivered, although it may still arrive: word comes at least once.

    Args:
        outbox: What has to go out.
        notifier: Who carries it.
        rules: The policy's ``alerts``.
        now: The present; naive UTC.
        environment: Where URLs are.
        limit: How long all of it may take.
    """
    letters = outbox.take(now)
    waiting: queue.Queue[Letter] = queue.Queue()
    reached = {letter.id: letter for letter in letters if environment.get(letter.variable)}
    for letter in reached.values():
        waiting.put(letter)
    results: queue.Queue[tuple[int, str | None]] = queue.Queue()
    started: set[int] = set()

    def work() -> None:
        while True:
            try:
                letter = waiting.get_nowait()
            except queue.Empty:
                return
            started.add(letter.id)
            results.put((letter.id, _tried(notifier, environment[letter.variable], letter, rules)))

    for _ in range(min(_AT_ONCE, len(reached))):
        # Not kept alive for a notifier that hangs when the process is done.
        threading.Thread(target=work, name="notifier", daemon=True).start()
    outcomes = _collected(results, len(reached), limit)
    sent = 0
    for letter in letters:
        if letter.id not in reached:
            outbox.failed(letter, f"the environment variable {letter.variable} is not set", now)
        elif letter.id in outcomes:
            reason = outcomes[letter.id]
            if reason is None:
                sent += 1
                outbox.sent(letter, now)
            else:
                outbox.failed(letter, reason, now)
        elif letter.id in started:
            outbox.failed(letter, f"no answer within {limit.total_seconds():g} s", now)
        else:
            outbox.put_back(letter, now)
    return Delivered(sent, len(letters) - sent)


def _tried(notifier: Notifier, url: str, letter: Letter, rules: Alerts) -> str | None:
    """Send a letter, and return why it was not taken or None if it was."""
    message = message_of(letter.incident, letter.severity, letter.occasion, rules.runbooks)
    try:
        notifier.send(url, message)
    except NotDeliveredError as error:
        return str(error)
    except Exception as error:  # a notifier's bug must not end the pass; its text might hold the URL
        log.error("notifier of %s failed with %s", letter.variable, type(error).__name__)
        return f"the notifier failed with {type(error).__name__}"
    return None


def _collected(
    results: "queue.Queue[tuple[int, str | None]]", count: int, limit: timedelta
) -> dict[int, str | None]:
    """Return the results that come within the limit."""
    until = time.monotonic() + limit.total_seconds()
    found: dict[int, str | None] = {}
    while len(found) < count and (left := until - time.monotonic()) > 0:
        try:
            number, reason = results.get(timeout=left)
        except queue.Empty:
            break
        found[number] = reason
    return found
