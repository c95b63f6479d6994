"""What the gateway tells about itself and its models: health, metadata, metrics, the fleet page."""

from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route as HttpRoute

from mlops_assets.registry.port import CHAMPION
from mlops_assets.serving import fleet_page, oip, openapi
from mlops_assets.serving.binary_tensors import EXTENSION
from mlops_assets.serving.bodies import json_response
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.routing import Router
from mlops_assets.version import __version__

MODEL_PATHS = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
# MLflow's server serves one model, and its clients know no other paths.
MLFLOW_PATHS = ("", "/models/{model}")


class Information:
    """The endpoints that only tell.

    Args:
        router: Tells which versions there are.
        meters: What was counted.
        problems: Tells what is wrong now.
    """

    def __init__(self, router: Router, meters: Meters, problems: Callable[[], list[Problem]]) -> None:
        self._router, self._meters, self._found = router, meters, problems

    @property
    def routes(self) -> list[HttpRoute]:
        """The endpoints by path."""
        return [
            HttpRoute("/", self.root),
            HttpRoute("/v2", self.server),
            HttpRoute("/v2/health/live", self.live),
            HttpRoute("/v2/health/ready", self.ready),
            *(HttpRoute(path, self.model) for path in MODEL_PATHS),
            *(HttpRoute(f"{path}/ready", self.model_ready) for path in MODEL_PATHS),
            *(HttpRoute(f"{path}/ping", self.ping) for path in MLFLOW_PATHS),
            *(HttpRoute(f"{path}/version", self.mlflow_version) for path in MLFLOW_PATHS),
            HttpRoute("/v1/models", self.model_names),
            HttpRoute("/v1/models/{model}", self.model_ready),
            HttpRoute("/metrics", self.metrics),
            HttpRoute("/openapi.json", self.openapi),
            HttpRoute("/fleet", self.fleet),
        ]

    async def root(self, _: Request) -> Response:
        """Lead people to the fleet page."""
        return RedirectResponse("/fleet")

    async def server(self, _: Request) -> Response:
        """Answer ``GET /v2``: what this server is."""
        return json_response({"name": "mlops-assets", "version": __version__, "extensions": [EXTENSION]})

    async def live(self, _: Request) -> Response:
        """Answer whether the process lives."""
        return json_response({"live": True})

    async def ready(self, _: Request) -> Response:
        """Answer whether every champion is loaded, and what is wrong."""
        table = self._router.table
        models = {
            name: {
                "champion": route.champion,
                "wanted": route.wanted.get(CHAMPION),
                "ready": route.champion is not None,
            }
            for name, route in table.routes.items()
            if route.champion is not None or CHAMPION in route.wanted
        }
        body = {"ready": table.ready, "models": models, "problems": self._problems()}
        return json_response(body, 200 if table.ready else 503)

    async def model(self, request: Request) -> Response:
        """Answer what a model takes and gives, and which versions are loaded."""
        table, name = self._router.table, request.path_params["model"]
        resident = table.resolve(name, request.path_params.get("version"))
        route, package = table.route(name), resident.package
        return json_response(
            {
                "name": name,
                "versions": route.versions,
                "platform": "onnx" if package.uses_onnx else "sklearn",
                "inputs": oip.describe_inputs(package.manifest),
                "outputs": oip.describe_outputs(package.manifest),
                "parameters": {
                    "version": resident.version,
                    "champion": route.champion,
                    "previous_champion": route.previous,
                    "candidate": package.digest,
                    "classes": package.manifest.classes,
                },
            }
        )

    async def model_ready(self, request: Request) -> Response:
        """Answer whether a version is loaded; of one that will not be since when, and why."""
        table, name = self._router.table, request.path_params["model"]
        asked = request.path_params.get("version")
        try:
            resident = table.resolve(name, asked)
        except Refusal as error:
            refused = [asdict(p) for p in table.of_version(name, asked) if p.refuses]
            return json_response({"error": str(error), "refused": refused}, error.status)
        return json_response({"name": resident.model, "version": resident.version, "ready": True})

    async def ping(self, request: Request) -> Response:
        """Answer as MLflow's server does once it can predict."""
        table, name = self._router.table, request.path_params.get("model")
        if name is not None:
            table.resolve(name, None)
        elif not table.ready:
            raise Refusal(503, "not every champion is loaded; see /v2/health/ready")
        return Response("\n", media_type="application/json")

    async def mlflow_version(self, _: Request) -> Response:
        """Answer with the version of MLflow whose requests are understood."""
        return Response(version("mlflow"), media_type="text/html")

    async def model_names(self, _: Request) -> Response:
        """Answer which models are served, as KServe does."""
        routes = self._router.table.routes
        served = [name for name, route in routes.items() if route.champion is not None]
        return json_response({"models": sorted(served)})

    async def metrics(self, _: Request) -> Response:
        """Answer with the counters."""
        table = self._router.table
        self._meters.show(
            {name: len(route.loaded) for name, route in table.routes.items()},
            [(p["kind"], p["model"]) for p in self._problems()],
        )
        return Response(self._meters.text(), media_type="text/plain; version=0.0.4")

    async def openapi(self, _: Request) -> Response:
        """Answer with the OpenAPI document."""
        return json_response(openapi.document())

    async def fleet(self, request: Request) -> Response:
        """Answer with the fleet page, or its records as JSON."""
        rows, problems = fleet_page.rows(self._router.table, self._meters.traffic), self._problems()
        if "application/json" in request.headers.get("accept", ""):
            return json_response({"models": rows, "problems": problems})
        reloads = "reload" in request.query_params
        return HTMLResponse(fleet_page.html(rows, problems, self._meters.since, reloads=reloads))

    def _problems(self) -> list[dict[str, Any]]:
        return [asdict(problem) | {"subject": problem.subject} for problem in self._found()]
