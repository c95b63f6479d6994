"""LitServe with the model, as its documentation serves one; runs in an environment of its own.

python litserve_app.py MODEL.joblib PORT
"""

import sys
from typing import Any

import joblib
import litserve


class Api(litserve.LitAPI):
    """One model."""

    def setup(self, device: str) -> None:
        """Load the model."""
        self.model = joblib.load(sys.argv[1])

    def decode_request(self, request: dict[str, Any]) -> Any:
        """Return the rows of a request."""
        return request["dataframe_split"]["data"]

    def predict(self, rows: Any) -> Any:
        """Return probabilities."""
        return self.model.predict_proba(rows)[:, 1]

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Return the answer."""
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", generate_client_file=False)
