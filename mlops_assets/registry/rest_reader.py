"""An MLflow server, read by its public REST API without importing MLflow."""

import logging
import os
import ssl
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from mlops_assets.registry.artifacts import (
    MOST_STATEMENT_BYTES,
    NeedsMlflow,
    Room,
    copy_folder,
    folder_of,
    plain_name,
    read_file,
)
from mlops_assets.registry.failures import registry_errors
from mlops_assets.registry.mlflow_registry import PACKAGE_PATH
from mlops_assets.registry.port import CANDIDATE_TAG, ModelVersion, RegisteredModel

if TYPE_CHECKING:
    import httpx

_API = "/api/2.0/mlflow"
_FILES = "/api/2.0/mlflow-artifacts/artifacts"
_PAGE = 1000
_PATIENCE_SECONDS = "10"  # as for MLflow's own client; see mlflow_registry.py
_MOST_ANSWER_BYTES = 256 << 20
_PIECE = 1 << 20
_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_TRUE = ("true", "1")
# Ways to sign requests, and parts of a server, that only MLflow's own client knows.
_MLFLOWS_OWN = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_WORKSPACE")


class _Alias(msgspec.Struct):
    alias: str
    version: str | int


class _Model(msgspec.Struct):
    name: str
    creation_timestamp: int | str = 0
    aliases: list[_Alias] = []


class _Models(msgspec.Struct):
    registered_models: list[_Model] = []
    next_page_token: str = ""


class _Tag(msgspec.Struct):
    key: str
    value: str = ""


class _Version(msgspec.Struct):
    name: str
    version: str | int
    run_id: str = ""
    tags: list[_Tag] = []


class _FoundVersion(msgspec.Struct):
    model_version: _Version


class _RunInfo(msgspec.Struct):
    artifact_uri: str


class _Run(msgspec.Struct):
    info: _RunInfo


class _FoundRun(msgspec.Struct):
    run: _Run


class _File(msgspec.Struct):
    path: str
    is_dir: bool = False


class _Files(msgspec.Struct):
    files: list[_File] = []


class _Problem(msgspec.Struct):
    error_code: str = ""
    message: str = ""


class _Odd(Exception):
    """What no MLflow server answers; the message says what."""


class _Refused(Exception):
    def __init__(self, status: int, problem: _Problem) -> None:
        super().__init__(f"it answers {status}: {problem.message or problem.error_code or 'nothing more'}")
        self.status, self.code = status, problem.error_code


_Answer = TypeVar("_Answer", bound=msgspec.Struct)


class RestReader:
    """Reads a registry that is an MLflow server.

    Args:
        uri: Its URL.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._places: dict[str, str] = {}

    @staticmethod
    def suits(environment: Mapping[str, str]) -> bool:
        """Return whether requests are made as this environment says."""
        return not any(environment.get(name) for name in _MLFLOWS_OWN)

    def models(self) -> dict[str, RegisteredModel]:
        """Return every registered model by name."""
        found: dict[str, RegisteredModel] = {}
        token = ""
        with self._errors():
            while True:
                asked = {"max_results": str(_PAGE), **({"page_token": token} if token else {})}
                page = self._ask(_Models, f"{_API}/registered-models/search", asked)
                for model in page.registered_models:
                    aliases = {each.alias: str(each.version) for each in model.aliases}
                    found[model.name] = RegisteredModel(aliases, int(model.creation_timestamp))
                if not page.next_page_token:
                    return found
                if page.next_page_token == token:
                    raise _Odd("its pages do not end")
                token = page.next_page_token

    def version(self, model: str, version: str) -> ModelVersion | None:
        """Return one version, or None."""
        return self._find("model-versions/get", {"name": model, "version": version})

    def by_alias(self, model: str, alias: str) -> ModelVersion | None:
        """Return the version an alias points to, or None."""
        return self._find("registered-models/alias", {"name": model, "alias": alias})

    def fetch_package(self, version: ModelVersion, into: Path) -> Path:
        """Return a copy of the version's packaged model below ``into``."""
        with self._errors():
            place = self._place(version.run_id)
            if (root := self._proxied(place)) is None:
                return copy_folder(folder_of(place), PACKAGE_PATH, into)
            target = into / PACKAGE_PATH
            target.parent.mkdir(parents=True)
            self._download(f"{root}/{PACKAGE_PATH}", target)
            return target

    def read_statement(self, run_id: str, path: str) -> bytes | None:
        """Return a statement that was kept beside what a run made, or None."""
        with self._errors():
            place = self._place(run_id)
            if (root := self._proxied(place)) is None:
                return read_file(folder_of(place), path)
            if any(part in ("", ".", "..") for part in path.split("/")):
                raise _Odd(f"{path!r} is no path below a run's files")
            pieces = self._pieces(f"{_FILES}/{quote(f'{root}/{path}')}", {}, MOST_STATEMENT_BYTES)
            try:
                return b"".join(pieces)
            except _Refused:
                if self._is_there(root, path):
                    raise
                return None

    def _is_there(self, root: str, path: str) -> bool:
        """Return whether a file exists: what a server says of one that does not depends on its store."""
        folder, _, name = f"{root}/{path}".rpartition("/")
        try:
            listed = self._ask(_Files, _FILES, {"path": folder}).files
        except _Refused as refused:
            if refused.status == 404:
                return False
            raise
        return any(file.path.rpartition("/")[2] == name for file in listed)

    def _find(self, what: str, asked: dict[str, str]) -> ModelVersion | None:
        with self._errors():
            try:
                found = self._ask(_FoundVersion, f"{_API}/{what}", asked).model_version
            except _Refused as refused:
                if refused.code in _MISSING:
                    return None
                raise
        tags = {tag.key: tag.value for tag in found.tags}
        return ModelVersion(found.name, str(found.version), tags.get(CANDIDATE_TAG, ""), found.run_id, tags)

    def _place(self, run_id: str) -> str:
        """Return where a run keeps its files; that never changes."""
        if run_id not in self._places:
            found = self._ask(_FoundRun, f"{_API}/runs/get", {"run_id": run_id})
            self._places[run_id] = found.run.info.artifact_uri
        return self._places[run_id]

    def _proxied(self, place: str) -> str | None:
        """Return the path under which the server itself hands out a run's files, or None if it does not."""
        parts = urlsplit(place)
        if parts.scheme != "mlflow-artifacts":
            return None
        # Whoever writes to the registry shall not be told our password by naming a server of theirs.
        if parts.netloc not in ("", urlsplit(self.uri).netloc.rpartition("@")[2]):
            raise NeedsMlflow(f"files at {parts.netloc} are read by MLflow")
        return parts.path.strip("/")

    def _download(self, path: str, target: Path) -> None:
        room = Room()
        waiting = [(path, target)]
        while waiting:
            folder, copy = waiting.pop()
            copy.mkdir()
            listed = self._ask(_Files, _FILES, {"path": folder}).files
            if not listed and copy == target:
                raise _Odd(f"there is no packaged model at {folder}")
            for file in listed:
                room.take(files=1)
                name = plain_name(file.path.removeprefix(f"{folder}/"))
                if file.is_dir:
                    waiting.append((f"{folder}/{name}", copy / name))
                    continue
                with (copy / name).open("xb") as written:
                    for piece in self._pieces(f"{_FILES}/{quote(f'{folder}/{name}')}", {}, room.bytes):
                        room.take(size=len(piece))
                        written.write(piece)

    def _ask(self, kind: type[_Answer], path: str, asked: dict[str, str]) -> _Answer:
        content = b"".join(self._pieces(path, asked, _MOST_ANSWER_BYTES))
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.MsgspecError, RecursionError):
            raise _Odd("it does not answer as an MLflow server does") from None

    def _pieces(self, path: str, asked: dict[str, str], most: int) -> Iterator[bytes]:
        """Yield what the server answers, piece by piece.

        Raises:
            _Refused: It answers with an error.
            _Odd: The answer is far too large.
        """
        with self._client.stream("GET", self._base + path, params=asked) as answer:
            if answer.status_code != 200:
                raise _Refused(answer.status_code, _problem(b"".join(_bounded(answer, _PIECE))))
            yield from _bounded(answer, most)

    @property
    def _base(self) -> str:
        return self.uri.rstrip("/")

    @cached_property
    def _client(self) -> "httpx.Client":
        import httpx

        logging.getLogger("httpx").setLevel(logging.WARNING)  # it would tell of each look
        user, password = _password()
        token = os.environ.get("MLFLOW_TRACKING_TOKEN")
        patience = float(os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT") or _PATIENCE_SECONDS)
        return httpx.Client(
            auth=(user, password) if user and password else None,
            headers={"authorization": f"Bearer {token}"} if token and not (user and password) else {},
            verify=_trust(),
            timeout=patience,
            follow_redirects=True,
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with registry_errors(self.uri, NeedsMlflow):
            yield


def _bounded(answer: "httpx.Response", most: int) -> Iterator[bytes]:
    for piece in answer.iter_bytes(_PIECE):
        most -= len(piece)
        if most < 0:
            raise _Odd(f"the answer to {answer.url.path} is too large")
        yield piece


def _problem(content: bytes) -> _Problem:
    try:
        return msgspec.json.decode(content, type=_Problem)
    except (msgspec.MsgspecError, RecursionError):
        return _Problem()


def _password() -> tuple[str | None, str | None]:
    """Return user and password as MLflow finds them: the environment, else its own file."""
    names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    file = ConfigParser(interpolation=None)  # a password may hold any sign
    file.read(Path.home() / ".mlflow" / "credentials")
    user, password = (
        os.environ.get(name) or file.get("mlflow", name.lower(), fallback=None) for name in names
    )
    return user, password


def _trust() -> ssl.SSLContext | bool:
    """Return which servers are trusted, and the certificate we show, as MLflow's variables say."""
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in _TRUE:
        return False
    authorities = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or os.environ.get("REQUESTS_CA_BUNDLE")
    own = os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH")
    if not (authorities or own):
        return True
    context = ssl.create_default_context(cafile=authorities)
    if own:
        context.load_cert_chain(own)
    return context
