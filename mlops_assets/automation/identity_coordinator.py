"""A run says who started it, by the word of the proxy that asked them to log in.

Dagster's webserver knows no users. A proxy in front of it does, and passes the name on in a header. The
coordinator through which every queued run goes writes that name onto the run, over whatever the client sent
along. That holds as far as the proxy does: it must set the header on every request, and nobody may reach the
webserver around it. What a client may not choose either is the pod that the run has on Kubernetes.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import dagster as dg
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG
from dagster._serdes import ConfigurableClassData

from mlops_assets.actor import EMAIL_TAG, USER_TAG
from mlops_assets.automation.pod_tag import POD_TAG, resources_only

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection


ANONYMOUS = "anonymous"
"""Whoever asked without saying who they are."""

DAEMON = "daemon"
"""What no web request asked for: a schedule, a sensor, the runs of a backfill."""


class IdentityRunCoordinator(QueuedRunCoordinator[dg.DagsterInstance]):
    """Dagster's queue, with the user's name on every run that enters it.

    Configured in ``dagster.yaml`` with all that ``QueuedRunCoordinator`` knows, and two settings of its own:
    ``header`` with the user's name, and ``email_header``.
    """

    def __init__(
        self,
        header: str = "X-Forwarded-User",
        email_header: str | None = None,
        inst_data: ConfigurableClassData | None = None,
        **queue: Any,
    ) -> None:
        super().__init__(inst_data=inst_data, **queue)
        self._headers = {USER_TAG: header, EMAIL_TAG: email_header}

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the settings of the queue and our own."""
        return {
            **cast("Mapping[str, Any]", super().config_type()),
            "header": dg.Field(
                str,
                default_value="X-Forwarded-User",
                description="Header in which the proxy names the user.",
            ),
            "email_header": dg.Field(
                dg.Noneable(str),
                default_value=None,
                description="Header in which the proxy gives the user's e-mail address.",
            ),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> "IdentityRunCoordinator":
        """Return the coordinator that ``dagster.yaml`` describes."""
        return cls(inst_data=inst_data, **config_value)

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Write onto a run who started it, and what its pod may be like; then put it into the queue."""
        run = context.dagster_run
        # A run that is in the queue already keeps the name it came with.
        if run.status == DagsterRunStatus.NOT_STARTED:
            self._instance.add_run_tags(run.run_id, {**self._stamp(context), **self._pod(run)})
        return super().submit_run(context)

    def _pod(self, run: dg.DagsterRun) -> dict[str, str]:
        """Return the tag that says what a run's pod is like, with no more in it than anybody may ask for."""
        if POD_TAG not in run.tags:
            return {}
        granted = resources_only(run.tags[POD_TAG])
        self._instance.report_engine_event(f"Of the tag {POD_TAG} counts {granted}", run)
        return {POD_TAG: granted}

    def _stamp(self, context: SubmitRunContext) -> dict[str, str]:
        """Return the tags that say who started a run."""
        run, source = context.dagster_run, getattr(context.workspace, "source", None)
        if source is not None:
            said = {tag: self._said(source, header) for tag, header in self._headers.items()}
        else:
            failed = self._retried_by_daemon(run)
            said = {tag: failed.tags.get(tag, DAEMON) if failed else DAEMON for tag in self._headers}
        # A tag that no header is for is written only over what the client sent.
        return {tag: who for tag, who in said.items() if self._headers[tag] or tag in run.tags}

    def _said(self, source: "HTTPConnection", header: str | None) -> str:
        """Return what the proxy says in a header."""
        values = source.headers.getlist(header) if header else []
        if len(values) > 1:
            # The first may be the client's own, with the proxy's after it.
            self._logger.warning(f"{header} came {len(values)} times; the proxy must set it, not add to it")
        if len(values) != 1 or not values[0].strip():
            return ANONYMOUS
        value = values[0].strip()
        try:
            # HTTP knows Latin-1, proxies send UTF-8.
            return value.encode("latin-1").decode()
        except UnicodeError:
            return value

    def _retried_by_daemon(self, run: dg.DagsterRun) -> dg.DagsterRun | None:
        """Return the failed run that the daemon itself tries again with this one, if it does.

        Whoever started that one started this one. Not so with a backfill of failed runs, which have
        another's runs as parents; hence the parent is asked which run retries it.
        """
        parent = self._instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
        retries = parent is not None and parent.tags.get(AUTO_RETRY_RUN_ID_TAG) == run.run_id
        return parent if retries else None
