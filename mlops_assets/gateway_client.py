"""A client of the gateway, for stages, the demo, tests, and anyone else.

Rows go out as Open Inference Protocol tensors; numbers and times arrive exactly as they were sent.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import EndpointError
from mlops_assets.monitoring.prediction_log import Label

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
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._opened: httpx.Client | None = None

    def live(self) -> bool:
        """Return whether a gateway answers at all."""
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

    def wait_for_version(self, model: str, version: str, timeout: float) -> float:
        """Wait until a version is loaded; return the seconds it took.

        Raises:
            EndpointError: It was not within ``timeout`` seconds.
        """
        path = f"/v2/models/{model}/versions/{version}/ready"
        return self._wait(
            lambda: bool(self._get(path).status_code == 200),
            f"{model} version {version} is not loaded",
            timeout,
        )

    def wait_for_champion(self, model: str, version: str, timeout: float) -> float:
        """Wait until a version serves as the champion; return the seconds it took.

        Raises:
            EndpointError: It did not within ``timeout`` seconds.
        """

        def serves() -> bool:
            response = self._get(f"/v2/models/{model}")
            return response.status_code == 200 and response.json()["parameters"]["champion"] == version

        return self._wait(serves, f"{model} is not served by version {version}", timeout)

    def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            self._opened.close()

    @property
    def _client(self) -> "httpx.Client":
        if self._opened is None:
            import httpx

            self._opened = httpx.Client(base_url=self.url, timeout=_TIMEOUT_SECONDS, trust_env=False)
        return self._opened

    def _get(self, path: str) -> "httpx.Response":
        with self._errors():
            return self._client.get(path)

    def _post(self, path: str, body: dict[str, Any], probe: bool = False) -> Any:
        import orjson

        headers = {"content-type": "application/json", **({"x-mlops-probe": "1"} if probe else {})}
        with self._errors():
            response = self._client.post(path, content=orjson.dumps(body), headers=headers)
        if response.status_code != 200:
            raise EndpointError(f"gateway answered {response.status_code}: {_said(response)}")
        return orjson.loads(response.content)

    def _wait(self, reached: Any, problem: str, timeout: float) -> float:
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


def _tensors(rows: "pd.DataFrame") -> Iterator[dict[str, Any]]:
    """Yield one tensor per column, missing values as null."""
    import numpy as np
    import pandas as pd

    for name, column in rows.items():
        values = column
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            kind, values = "BYTES", column.map(lambda v: v.isoformat(), na_action="ignore")
        elif pd.api.types.is_bool_dtype(column.dtype):
            kind = "BOOL"
        elif pd.api.types.is_integer_dtype(column.dtype):
            kind = "INT64"
        elif pd.api.types.is_float_dtype(column.dtype):
            kind = "FP64"
            if np.isinf(column.to_numpy(dtype="float64", na_value=np.nan)).any():
                raise EndpointError(f"column {name!r} holds an infinite number, which JSON cannot carry")
        else:
            kind = "BYTES"
        data = values.astype("object").where(column.notna(), None).tolist()
        yield {"name": str(name), "datatype": kind, "shape": [len(rows)], "data": data}


def _said(response: "httpx.Response") -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200]
