"""Who carries word to people: a port of ours, and Apprise behind it (mail, chat, pagers, webhooks)."""

import re
from typing import Protocol

from mlops_assets.monitoring.incidents.message import Message


class NotDeliveredError(Exception):
    """A message was not taken. The text says why, and never to what address: that is a secret."""


class Notifier(Protocol):
    """Carries messages."""

    def send(self, url: str, message: Message) -> None:
        """Carry a message to where a URL leads; may take its time.

        Raises:
            NotDeliveredError: It was not taken.
        """


class AppriseNotifier:
    """Carries messages by Apprise, which knows some hundred services by the form of their URL."""

    def send(self, url: str, message: Message) -> None:
        """Carry a message; see :class:`Notifier`."""
        import apprise

        # No pictures from elsewhere, no files kept; it waits here and in no thread of its own.
        asset = apprise.AppriseAsset(
            app_id="mlops-assets",
            app_desc="mlops-assets",
            app_url="",
            image_url_mask="",
            image_url_logo="",
            storage_mode=apprise.PersistentStoreMode.MEMORY,
            async_mode=False,
            service_timeout=0,
            allow_templates=False,
        )
        service = apprise.Apprise(asset=asset)
        if not service.add(url):
            raise NotDeliveredError("the variable holds no URL that Apprise knows")
        try:
            result = service.notify(
                body=message.markdown, title=message.subject, body_format=apprise.NotifyFormat.MARKDOWN
            )
        except Exception as error:  # of a hundred services, each with errors of its own
            raise NotDeliveredError(f"the notifier failed with {type(error).__name__}") from None
        if not result:
            raise NotDeliveredError(_reason([entry.message for entry in result.logs()]))


def _reason(said: list[str]) -> str:
    """Return why, of what Apprise said only what cannot hold an address."""
    codes = re.findall(r"\berror=(\d{3})\b", " ".join(said))
    return f"the service answered with {codes[-1]}" if codes else "the service was not reached, or refused it"
