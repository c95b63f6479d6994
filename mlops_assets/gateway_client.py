"""A client of the gateway, for stages, the demo, tests, and anyone else.

Rows go out as Open Inference Protocol tensors; numbers and times arrive exactly as they were sent.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import EndpointError, VersionRefused
from mlops_assets.prediction_log.prediction import Label

if TYPE_CHECKING:
    import httpx
    import numpy as np
    import pandas as pd

_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.01
_LABELS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Answers:
    """The gateway's answer to some rows.

    Attributes:
        predictions: As :meth:`mlops_assets.training.package.PackagedModel.predict` returns them.
        prediction_ids: One id per row, by which labels and explanations find it.
        version: The version that answered.
    """

    predictions: "np.ndarray[Any, Any]"
    prediction_ids: list[str]
    version: str


class GatewayClient:
    """Talks to one gateway; not safe to share between threads.

    Args:
        url: Base URL, such as ``http://127.0.0.1:8080``.
        key: API key to show; the platform's own is :func:`mlops_assets.gateway_credential.platform_key`.

    Raises:
        EndpointError: From every call after :meth:`close`.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.key = key
        self._opened: httpx.Client | None = None
        self._closed = False

    def live(self) -> bool:
        """Return whether a gateway answers at all."""
        self._require_open()
        try:
            return bool(self._get("/v2/health/live").status_code == 200)
        except EndpointError:
            return False

    def infer(
        self, model: str, rows: "pd.DataFrame", version: str | None = None, *, probe: bool = False
    ) -> Answers:
        """Return predictions for raw rows.

        Args:
            model: Model name.
            rows: Raw input columns.
            version: Version to ask; the champion if None.
            probe: Whether the platform itself asks, which monitoring leaves out.

        Raises:
            EndpointError: The gateway cannot be reached or refuses; the message is its own.
        """
        import numpy as np

        path = f"/v2/models/{model}" + (f"/versions/{version}" if version else "")
        answer = self._post(f"{path}/infer", {"inputs": list(_tensors(rows))}, probe)
        output = answer["outputs"][0]
        predictions = np.asarray(output["data"], dtype="float64").reshape(output["shape"])
        return Answers(predictions, answer["parameters"]["prediction_ids"], answer["model_version"])

    def feedback(self, model: str, labels: Sequence[Label]) -> list[str]:
        """Send what turned out to be true; return the prediction ids the gateway does not know."""
        unknown: list[str] = []
        for start in range(0, len(labels), _LABELS_AT_ONCE):
            body = [
                {
                    "prediction_id": x.prediction_id,
                    "label": x.label,
                    "observed_at": x.observed_at.isoformat(),
                }
                for x in labels[start : start + _LABELS_AT_ONCE]
            ]
            unknown += self._post(f"/v2/models/{model}/feedback", {"labels": body})["unknown"]
        return unknown

    def feedback_lines(self, model: str, lines: bytes) -> dict[str, Any]:
        """Send feedback as lines of JSON; return how many were ``accepted`` and ``refused``, and ``errors``.

        Raises:
            EndpointError: The gateway cannot be reached, or takes none of it.
        """
        path = f"/v2/models/{model}/feedback"
        answer: dict[str, Any] = self._sent(path, lines, {"content-type": "application/x-ndjson"})
        return answer

    def wait_for_version(self, model: str, version: str, timeout: float) -> float:
        """Wait until a version is loaded; return the seconds it took.

        What was refused when this was called may be out of date, and is waited for; a new refusal is not. One
        that still stands in the end is told as what it is: the gateway tried before anybody asked.

        Raises:
            VersionRefused: The gateway has tried it and will not load it.
            EndpointError: It was not loaded within ``timeout`` seconds.
        """
        path = f"/v2/models/{model}/versions/{version}/ready"
        known: list[dict[str, Any]] | None = None
        refused: list[dict[str, Any]] = []

        def loaded() -> bool:
            nonlocal known
            response = self._get(path)
            if response.status_code == 200:
                return True
            refused[:] = _refusals(response)
            known = [*refused] if known is None else known
            if new := [problem for problem in refused if problem not in known]:
                raise VersionRefused(f"the gateway will not load it: {new[0]['message']}")
            return False

        try:
            return self._wait(loaded, f"{model} version {version} is not loaded", timeout)
        except VersionRefused:
            raise
        except EndpointError:
            if not refused:
                raise
            raise VersionRefused(f"the gateway will not load it: {refused[0]['message']}") from None

    def wait_for_champion(self, model: str, version: str, timeout: float) -> float:
        """Wait until a version serves as the champion; return the seconds it took.

        Raises:
            EndpointError: It did not within ``timeout`` seconds.
        """

        def serves() -> bool:
            response = self._get(f"/v2/models/{model}")
            return (
                response.status_code == 200 and self._content(response)["parameters"]["champion"] == version
            )

        return self._wait(serves, f"{model} is not served by version {version}", timeout)

    def wait_for_drill(self, model: str, version: str, timeout: float) -> float:
        """Wait until the gateway has followed a rehearsed rollback; return the seconds it took.

        Raises:
            EndpointError: It did not within ``timeout`` seconds.
        """

        def follows() -> bool:
            response = self._get(f"/v2/models/{model}")
            return response.status_code == 200 and self._content(response)["parameters"]["drill"] == version

        return self._wait(follows, f"the gateway does not follow {model} to version {version}", timeout)

    def close(self) -> None:
        """Close the connections; the client must not be used afterwards."""
        self._closed = True
        if self._opened is not None:
            self._opened.close()

    def _require_open(self) -> None:
        if self._closed:
            raise EndpointError(f"this client of gateway {self.url} was closed; make another one")

    @property
    def _client(self) -> "httpx.Client":
        self._require_open()
        if self._opened is None:
            import httpx

            self._opened = httpx.Client(
                base_url=self.url,
                headers={"x-api-key": self.key} if self.key else None,
                timeout=_TIMEOUT_SECONDS,
                trust_env=False,
            )
        return self._opened

    def _get(self, path: str) -> "httpx.Response":
        with self._errors():
            return self._client.get(path)

    def _post(self, path: str, body: dict[str, Any], probe: bool = False) -> Any:
        import orjson

        headers = {"content-type": "application/json", **({"x-mlops-probe": "1"} if probe else {})}
        try:
            content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
        except orjson.JSONEncodeError as error:
            raise EndpointError(f"the request holds what JSON cannot carry: {error}") from error
        return self._sent(path, content, headers)

    def _sent(self, path: str, content: bytes, headers: dict[str, str]) -> Any:
        with self._errors():
            response = self._client.post(path, content=content, headers=headers)
        if response.status_code != 200:
            raise EndpointError(f"gateway answered {response.status_code}: {_said(response)}")
        return self._content(response)

    def _content(self, response: "httpx.Response") -> Any:
        import orjson

        try:
            return orjson.loads(response.content)
        except orjson.JSONDecodeError as error:
            raise EndpointError(f"{self.url} answered what is not JSON, so is no gateway: {error}") from error

    def _wait(self, reached: Callable[[], bool], problem: str, timeout: float) -> float:
        started = time.perf_counter()
        while not reached():
            if time.perf_counter() - started > timeout:
                raise EndpointError(f"{problem} after {timeout:g} s; {self.url}/fleet says why")
            time.sleep(_POLL_SECONDS)
        return time.perf_counter() - started

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import httpx

        try:
            yield
        except httpx.HTTPError as error:
            raise EndpointError(f"gateway {self.url}: {str(error) or type(error).__name__}") from error


def _refusals(response: "httpx.Response") -> list[dict[str, Any]]:
    """Return why a version is not loaded, as far as the gateway has tried; nothing of another server."""
    try:
        return list(response.json()["refused"])
    except (LookupError, TypeError, ValueError):
        return []


def _tensors(rows: "pd.DataFrame") -> Iterator[dict[str, Any]]:
    """Yield one tensor per column, missing values as null."""
    import numpy as np

    for name, column in rows.items():
        values = column.astype("object")
        kind, form = _datatype(values)
        if kind == "FP64" and np.isinf(values.to_numpy(dtype="float64", na_value=np.nan)).any():
            raise EndpointError(f"column {name!r} holds an infinite number, which JSON cannot carry")
        sent = values.map(form, na_action="ignore").astype("object") if form else values
        data = sent.where(column.notna(), None).tolist()
        yield {"name": str(name), "datatype": kind, "shape": [len(rows)], "data": data}


def _datatype(values: "pd.Series[Any]") -> "tuple[str, Callable[[Any], Any] | None]":
    """Return what values are, whatever type pandas keeps them in, and how each is written if not as it is."""
    import pandas as pd

    match pd.api.types.infer_dtype(values, skipna=True):
        case "boolean":
            return "BOOL", None
        case "integer":
            return "INT64" if values.dropna().max() < 2**63 else "UINT64", None
        case "floating" | "mixed-integer-float":
            return "FP64", None
        case "datetime" | "datetime64" | "date":
            return "BYTES", lambda value: value.isoformat()
        case _:
            return "BYTES", None


def _said(response: "httpx.Response") -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200]
