"""What a client of the Open Inference Protocol asks of its answer: which outputs, in which form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import member

_NOTHING: Mapping[str, bool] = MappingProxyType({})


@dataclass(frozen=True)
class AnswerForm:
    """The form of an answer.

    Attributes:
        request_id: The request's own id, which the answer repeats.
        outputs: Names of the outputs that are wanted, and whether as bytes; all if None.
        binary: Whether outputs come as bytes if nothing is said of them.
    """

    request_id: str | None = None
    outputs: Mapping[str, bool] | None = field(default=None)
    binary: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether all outputs are wanted, in JSON."""
        return self.outputs is None and not self.binary

    def is_binary(self, output: str) -> bool:
        """Return whether an output is wanted as bytes."""
        return (self.outputs or _NOTHING).get(output, self.binary)


# Of every request that says nothing of it.
PLAIN = AnswerForm()


def answer_form(request_id: Any, outputs: Any, parameters: Any) -> AnswerForm:
    """Return what a request's ``id``, ``outputs`` and ``parameters`` ask for; each may be None.

    Raises:
        Refusal: 400: one of them is not what the protocol says.
    """
    if request_id is None and outputs is None and parameters is None:
        return PLAIN
    if not isinstance(request_id, str | None):
        raise Refusal(400, "the body: 'id' must be text")
    binary = _flag(parameters, "binary_data_output", "the body", default=False)
    if outputs is None:
        return AnswerForm(request_id, None, binary)
    if not isinstance(outputs, list):
        raise Refusal(400, "the body: 'outputs' must be a list")
    wanted = {}
    for index, output in enumerate(outputs):
        name = member(output, "name", str, f"outputs[{index}]")
        where = f"output {name[:64]!r}"
        wanted[name] = _flag(output.get("parameters"), "binary_data", where, default=binary)
    return AnswerForm(request_id, wanted or None, binary)


def _flag(parameters: Any, name: str, where: str, *, default: bool) -> bool:
    if not isinstance(parameters, dict | None):
        raise Refusal(400, f"{where}: 'parameters' must be an object")
    value = (parameters or {}).get(name, default)
    if not isinstance(value, bool):
        raise Refusal(400, f"{where}: parameter {name!r} must be true or false")
    return value
