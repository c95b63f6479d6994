"""The forms in which predictions are asked for and answered, each behind the same two questions."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol as Port

from mlops_assets.serving import oip
from mlops_assets.serving.answer_form import PLAIN, AnswerForm
from mlops_assets.serving.bodies import Answered, Sent
from mlops_assets.serving.inference import Answer
from mlops_assets.serving.mlflow_forms import read_mlflow
from mlops_assets.serving.table import LiveRollout, Resident
from mlops_assets.serving.usual_requests import Decoded, Reader

# Others would wait for more.
_MOST_ROWS = 128


class Protocol(Port):
    """A form of requests and answers."""

    def decode_usual(self, content: bytes, reader: Reader) -> Decoded | None:
        """Return a usual request's rows, or None if it has to be read by :meth:`read`."""
        ...

    def read(self, sent: Sent, resident: Resident) -> oip.Asked:
        """Return any request's rows, and what is asked of the answer.

        Raises:
            Refusal: Names what is wrong.
        """
        ...

    def answered(self, form: AnswerForm, resident: Resident, answer: Answer) -> Answered:
        """Return the answer's body and headers."""
        ...


@dataclass(frozen=True)
class OpenInference:
    """The Open Inference Protocol v2."""

    def decode_usual(self, content: bytes, reader: Reader) -> Decoded | None:
        """See :class:`Protocol`."""
        return reader.decode_oip(content)

    def read(self, sent: Sent, resident: Resident) -> oip.Asked:
        """See :class:`Protocol`."""
        return oip.read_request(sent, resident.reader, resident.package.manifest)

    def answered(self, form: AnswerForm, resident: Resident, answer: Answer) -> Answered:
        """See :class:`Protocol`."""
        named = {
            "model_name": resident.model,
            "model_version": resident.version,
            "id": form.request_id or answer.prediction_ids[0],
            "parameters": {"prediction_ids": answer.prediction_ids},
        }
        return oip.answered(named, answer.predicted, resident.package.manifest, form)


@dataclass(frozen=True)
class Invocations:
    """MLflow's request forms, of which KServe's first protocol is one."""

    def decode_usual(self, content: bytes, reader: Reader) -> Decoded | None:
        """See :class:`Protocol`."""
        return reader.decode_mlflow(content)

    def read(self, sent: Sent, resident: Resident) -> oip.Asked:
        """See :class:`Protocol`."""
        found = resident.reader.read_mlflow(sent.content)
        return found or read_mlflow(sent.json(), resident.package.manifest), PLAIN

    def answered(self, _: AnswerForm, resident: Resident, answer: Answer) -> Answered:
        """See :class:`Protocol`."""
        return Answered.json(
            {
                "predictions": answer.predicted.tolist(),
                "model": resident.model,
                "version": resident.version,
                "prediction_ids": answer.prediction_ids,
            }
        )


def usual_rows(
    protocol: Protocol, content: bytes, champion: Resident, rollout: LiveRollout | None
) -> Decoded | None:
    """Return a request's rows if it is one that can be answered together with others, else None.

    Raises:
        Refusal: 400: what is asked of the answer is not what the protocol says.
    """
    if rollout is not None and not rollout.takes_same_as(champion):
        return None
    rows = protocol.decode_usual(content, champion.reader)
    return rows if rows is not None and rows.form.is_plain and len(rows) <= _MOST_ROWS else None


_OPEN_INFERENCE, _INVOCATIONS = OpenInference(), Invocations()

# Where predictions are asked for, and in which form. MLflow's server serves one model, and some of its
# clients know no other path than the last.
PREDICTION_PATHS: Mapping[str, Protocol] = MappingProxyType(
    {
        "/v2/models/{model}/infer": _OPEN_INFERENCE,
        "/v2/models/{model}/versions/{version}/infer": _OPEN_INFERENCE,
        "/models/{model}/invocations": _INVOCATIONS,
        "/v1/models/{model}:predict": _INVOCATIONS,
        "/invocations": _INVOCATIONS,
    }
)
