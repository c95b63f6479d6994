"""The fleet page, a page for each model, and Evidently's reports: for those who may see every model."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from mlops_assets.home import Home
from mlops_assets.serving.bodies import json_response
from mlops_assets.serving.counts import Counts, Everyone
from mlops_assets.serving.fleet_page import model_page, overview_page
from mlops_assets.serving.fleet_page.choice import Choice
from mlops_assets.serving.fleet_page.layout import HEADERS
from mlops_assets.serving.fleet_page.links import Links
from mlops_assets.serving.fleet_page.platform_records import KnownFleet, KnownModel
from mlops_assets.serving.fleet_page.reading import Reading
from mlops_assets.serving.fleet_page.records import rows
from mlops_assets.serving.permission import Endpoint
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.table import Routes

# A report has scripts of its own; so it is opened as if it were from elsewhere.
_REPORT_HEADERS = {"content-security-policy": "sandbox allow-scripts", "x-content-type-options": "nosniff"}
_MISSING = 404


class FleetPages:
    """The endpoints.

    Args:
        router: Tells which versions there are.
        everyone: Tells what was counted, by all workers.
        problems: Tells what is wrong now.
        home: Where the platform keeps the rest; only what the gateway itself knows is shown if None.
    """

    def __init__(
        self,
        router: Routes,
        everyone: Everyone,
        problems: Callable[[Counts], list[dict[str, Any]]],
        home: Home | None,
    ) -> None:
        self._router, self._everyone, self._problems = router, everyone, problems
        self._reading = None if home is None else Reading.of(home)
        self._links = Links() if home is None else Links.of(home)

    @property
    def endpoints(self) -> Mapping[str, Endpoint]:
        """The endpoints by path."""
        return {
            "/fleet": self.fleet,
            "/fleet/{model}": self.model,
            "/fleet/{model}/reports/{report}": self.report,
        }

    async def fleet(self, request: Request) -> Response:
        """Answer with the page of all models, or their records as JSON."""
        choice = Choice.of(request.query_params)
        counts, table = await self._everyone("traffic"), self._router.table
        known = KnownFleet() if self._reading is None else await self._reading.fleet()
        as_json = "application/json" in request.headers.get("accept", "")

        def answer() -> Response:
            models, problems = rows(table, counts.traffic, known), self._problems(counts)
            if as_json:
                shown = choice.of_models(models)
                return json_response({"models": shown, "problems": problems, "untold": known.untold or None})
            reloads = "reload" in request.query_params
            page = overview_page.html(models, known, choice, problems, counts.since, reloads=reloads)
            return HTMLResponse(page, headers=HEADERS)

        # A thousand rows take a while, in which others are answered.
        return await anyio.to_thread.run_sync(answer)

    async def model(self, request: Request) -> Response:
        """Answer with the page of one model."""
        name, table = request.path_params["model"], self._router.table
        try:
            route = table.route(name)
        except Refusal as refusal:
            if refusal.status != _MISSING or "text/html" not in request.headers.get("accept", ""):
                raise
            return HTMLResponse(model_page.unknown(name, str(refusal)), _MISSING, headers=HEADERS)
        counts = await self._everyone("traffic")
        known = KnownModel() if self._reading is None else await self._reading.model(name)

        def answer() -> Response:
            traffic = {key: had for key, had in counts.traffic.items() if key[0] == name}
            [record] = rows(replace(table, routes={name: route}), traffic, known.glance)
            problems = [problem for problem in self._problems(counts) if problem["model"] == name]
            view = model_page.ModelView(record, known, problems, self._links)
            return HTMLResponse(model_page.html(view), headers=HEADERS)

        return await anyio.to_thread.run_sync(answer)

    async def report(self, request: Request) -> Response:
        """Answer with Evidently's report of one of a model's windows."""
        model, name = request.path_params["model"], request.path_params["report"]
        self._router.table.route(model)
        file = await anyio.to_thread.run_sync(self._links.report_file, model, name)
        if file is None:
            raise Refusal(_MISSING, f"no report {name!r} of {model} lies in this gateway's home")
        return FileResponse(file, headers=_REPORT_HEADERS, media_type="text/html")
