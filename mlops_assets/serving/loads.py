"""Versions that are loaded aside: which are, which are on the way, and which failed and wait to be tried."""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from mlops_assets.registry.port import RegistryReader
from mlops_assets.serving.kept import Kept, is_altered
from mlops_assets.serving.loading import load
from mlops_assets.serving.problems import Problem, failed_load, told
from mlops_assets.serving.proving import Prover
from mlops_assets.serving.table import Resident

log = logging.getLogger("mlops_assets.gateway")

RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 60.0
# A version no alias names any more is kept a while: whoever moved the alias may move it back.
LINGER_SECONDS = 60.0
_LOADERS = 2

_Key = tuple[str, str]
Load = Callable[[RegistryReader, Prover, str, str, Kept | None], Resident]


@dataclass(frozen=True)
class _Failure:
    problem: Problem
    delay: float
    retry_at: float


class Loads:
    """Has versions loaded by two threads of its own; all else is to be called from one thread.

    Args:
        prover: Holds versions against their evidence and release.
        load_with: Proves and loads a version instead of :func:`~mlops_assets.serving.loading.load`.
        on_done: Called from a loading thread when a version is loaded, or is not.

    Attributes:
        resident: What is loaded, by model and version.
        pending: What is on the way.
    """

    def __init__(self, prover: Prover, load_with: Load | None, on_done: Callable[[], None]) -> None:
        self._prover, self._load_with, self._on_done = prover, load_with, on_done
        self.resident: dict[str, dict[str, Resident]] = {}
        self.pending: dict[_Key, Future[Resident]] = {}
        self._failed: dict[_Key, _Failure] = {}
        self._needed_at: dict[_Key, float] = {}
        self._threads = ThreadPoolExecutor(_LOADERS, thread_name_prefix="loader")

    def stop(self) -> None:
        """Begin no load any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def problems(self) -> list[Problem]:
        """Why versions could not be loaded."""
        return [failed.problem for failed in self._failed.values()]

    def has_failed(self, model: str, version: str) -> bool:
        """Return whether a version could not be loaded when that was tried last."""
        return (model, version) in self._failed

    def is_through(self, due: Mapping[str, Sequence[str]]) -> bool:
        """Return whether nothing is on the way, and all that is due was loaded or refused."""
        return not self.pending and all(
            version in self.resident.get(model, {}) or (model, version) in self._failed
            for model, versions in due.items()
            for version in versions
        )

    def begin(self, due: Mapping[str, Sequence[str]], registry: RegistryReader, keep: Kept | None) -> None:
        """Have loaded what is due and is not, nor waits for another try; the most urgent of all models first.

        Args:
            due: Versions by model, the most urgent first.
            registry: Where they are.
            keep: Where what is proven is kept, if it is.
        """
        now = time.monotonic()
        for place in range(max(map(len, due.values()), default=0)):
            for model, versions in due.items():
                if place >= len(versions) or versions[place] in self.resident.get(model, {}):
                    continue
                key = (model, versions[place])
                failed = self._failed.get(key)
                if key in self.pending or (failed is not None and now < failed.retry_at):
                    continue
                loading = self._threads.submit(self._load_with or load, registry, self._prover, *key, keep)
                loading.add_done_callback(lambda _: self._on_done())
                self.pending[key] = loading

    def collect(self, kept: Kept | None) -> None:
        """Take in what has been loaded since this was called last.

        Args:
            kept: Where it was loaded from, if that was not the registry; what was altered there is discarded.
        """
        for key, loading in list(self.pending.items()):
            if not loading.done():
                continue
            del self.pending[key]
            model, version = key
            # exception() and not result(): a pickle may even raise SystemExit.
            error = loading.exception()
            if error is None:
                self.resident.setdefault(model, {})[version] = resident = loading.result()
                self._needed_at[key] = time.monotonic()
                self._failed.pop(key, None)
                log.info("%s version %s is loaded (%s)", *key, resident.package.manifest.runtime)
                continue
            if kept is not None:
                log.info("what was kept of %s version %s is not used: %s", *key, told(error))
                if is_altered(error):
                    kept.discard(*key)
            before = self._failed.get(key)
            delay = min(LONGEST_RETRY_SECONDS, 2 * before.delay) if before else RETRY_SECONDS
            self._failed[key] = _Failure(failed_load(model, version, error), delay, time.monotonic() + delay)

    def forget(self, gone: Collection[str]) -> None:
        """Let go of models that were registered anew: under them, a number means another version."""
        self.resident = {model: kept for model, kept in self.resident.items() if model not in gone}
        self.pending = {key: future for key, future in self.pending.items() if key[0] not in gone}

    def forgive(self, is_over: Callable[[str, str], bool] = lambda model, version: True) -> None:
        """Forget failures, so that what is due then is tried at once.

        Args:
            is_over: Tells of which model and version; all if not given.
        """
        self._failed = {key: failed for key, failed in self._failed.items() if not is_over(*key)}

    def let_go(self, is_needed: Callable[[str, str], bool]) -> None:
        """Let go of versions that nobody has needed for a while.

        Args:
            is_needed: Tells whether a version of a model is needed now.
        """
        now = time.monotonic()
        for model, residents in self.resident.items():
            for version in list(residents):
                if is_needed(model, version):
                    self._needed_at[model, version] = now
                elif now - self._needed_at[model, version] >= LINGER_SECONDS:
                    del residents[version]
        self._needed_at = {
            (model, version): at
            for (model, version), at in self._needed_at.items()
            if version in self.resident.get(model, {})
        }
