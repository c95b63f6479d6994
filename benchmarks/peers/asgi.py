"""The limits: applications on uvicorn with nothing in between; one only echoes, one only predicts."""

import os
import time
from typing import Any

import orjson

WORK_SECONDS = 40e-6
_HEADERS = [(b"content-type", b"application/json")]


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer each request with its own body."""
    await _answer(await _body(receive), send)


async def echo_and_work(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer each request with its own body, after :data:`WORK_SECONDS` of CPU time."""
    content = await _body(receive)
    until = time.thread_time() + WORK_SECONDS
    while time.thread_time() < until:
        pass
    await _answer(content, send)


async def _body(receive: Any) -> bytes:
    message = await receive()
    body: bytes = message["body"]
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    return body


async def _answer(content: bytes, send: Any) -> None:
    headers = [*_HEADERS, (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def onnx() -> Any:
    """Return an application that predicts with the model of the file ``$BENCHMARK_ONNX``."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        os.environ["BENCHMARK_ONNX"], options, providers=["CPUExecutionProvider"]
    )

    async def predict(scope: dict[str, Any], receive: Any, send: Any) -> None:
        asked = orjson.loads(await _body(receive))["dataframe_split"]["data"]
        predicted = session.run(None, {"features": np.array(asked, dtype="float32")})[1][:, 1]
        await _answer(orjson.dumps({"predictions": predicted.tolist()}), send)

    return predict
