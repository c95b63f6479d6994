"""Call a gateway with KServe's own client, in a process that has it; prints what it was told, as JSON.

python kserve_calls.py URL ROWS, with rows of the model ``visits`` in JSON
"""

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

DATATYPES = {"device": "BYTES", "visited_at": "BYTES", "member": "BOOL", "pages": "INT64", "spent": "FP64"}
KINDS = {"BYTES": "object", "BOOL": "bool", "INT64": "int64", "FP64": "float64"}


def inference(rows: list[dict[str, Any]], *, binary: bool) -> InferRequest:
    """Return a request of the Open Inference Protocol."""
    inputs = []
    for name, datatype in DATATYPES.items():
        tensor = InferInput(name, [len(rows)], datatype)
        values = np.array([row[name] for row in rows], dtype=KINDS[datatype])
        tensor.set_data_from_numpy(values, binary_data=binary)
        inputs.append(tensor)
    return InferRequest("visits", inputs, request_id="mine")


async def first_protocol(url: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        return {
            "live": await client.is_server_live(url),
            "ready": await client.is_model_ready(url, "visits"),
            "predicted": (await client.infer(url, {"instances": rows}, model_name="visits"))["predictions"],
        }


async def second_protocol(url: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        told: dict[str, Any] = {
            "live": await client.is_server_live(url),
            "ready": [
                await client.is_server_ready(url),
                await client.is_model_ready(url, "visits"),
                await client.is_model_ready(url, "visit"),
            ],
        }
        for binary in (False, True):
            request = inference(rows, binary=binary)
            answer = await client.infer(url, request, model_name="visits")
            told["bytes" if binary else "json"] = {
                "id": answer.id,
                "predicted": answer.outputs[0].as_numpy().tolist(),
            }
        try:
            await client.infer(url, {"inputs": []}, model_name="visits")
        except Exception as error:
            told["refused"] = str(error)
        return told


async def main(url: str, rows: str) -> None:
    read = json.loads(rows)
    print(json.dumps({"v1": await first_protocol(url, read), "v2": await second_protocol(url, read)}))


asyncio.run(main(*sys.argv[1:]))
