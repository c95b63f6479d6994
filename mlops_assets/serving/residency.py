"""At most so many versions in memory: the others are loaded when they are asked for.

Every version stays proven, whether it is in memory or not. What is loaded again is what was proven: each file
has to have the digest that the signed manifest names.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from weakref import WeakSet

from mlops_assets.registry.port import RegistryReader
from mlops_assets.serving.kept import Kept
from mlops_assets.serving.loading import awaken, load
from mlops_assets.serving.problems import Problem, failed_load
from mlops_assets.serving.process_memory import give_back
from mlops_assets.serving.proving import Prover
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.table import Resident, Table
from mlops_assets.training.package import PackagedModel

PATIENCE_SECONDS = 5.0
_LOADERS = 2


class Residency:
    """Holds versions in memory up to a bound; who was not used for longest leaves, previous champions first.

    Args:
        most: Versions in memory at once, at least 1; as many as there are if None.
        on_problem: Told each version that could not be loaded when it was asked for.
    """

    def __init__(
        self, most: int | None = None, on_problem: Callable[[Problem], None] = lambda problem: None
    ) -> None:
        self._most, self._on_problem = most, on_problem
        self._packages: WeakSet[PackagedModel] = WeakSet()
        self._lock = threading.Lock()
        self._waking: dict[PackagedModel, Future[None]] = {}
        self._failed: dict[PackagedModel, Problem] = {}
        self._loaders = ThreadPoolExecutor(_LOADERS, thread_name_prefix="waking")

    @property
    def problems(self) -> list[Problem]:
        """Versions that could not be loaded when they were asked for."""
        return list(self._failed.values())

    def load(
        self, registry: RegistryReader, prover: Prover, model: str, version: str, kept: Kept | None
    ) -> Resident:
        """Prove and load a version; see :func:`~mlops_assets.serving.loading.load`.

        Beyond the bound one that was kept, and so was loaded here before, is only proven.
        """
        resident = load(registry, prover, model, version, kept, warm=kept is not None or self.has_room)
        self.note(resident)
        return resident

    @property
    def has_room(self) -> bool:
        """Whether another version may be in memory."""
        return self._most is None or len(self._warm()) < self._most

    def note(self, resident: Resident) -> None:
        """Count a version that was loaded."""
        resident.package.used_at = time.monotonic()
        with self._lock:
            self._packages.add(resident.package)

    def settle(self, table: Table, asked: PackagedModel | None = None) -> None:
        """Let go of what is beyond the bound, but not of what is asked for right now."""
        if self._most is None:
            return
        spare = {
            resident.package
            for route in table.routes.values()
            for version, resident in route.loaded.items()
            if version != route.champion and not (route.rollout and route.rollout.challenger is resident)
        }
        warm = self._warm()
        # What is not kept on this machine's disk could not be loaded again.
        ready_to_go = [package for package in warm if package is not asked and package.folder.is_dir()]
        ready_to_go.sort(key=lambda package: (package not in spare, package.used_at))
        leaving = ready_to_go[: max(0, len(warm) - self._most)]
        for package in leaving:
            package.cool()
        if leaving:
            give_back()

    async def require(self, table: Table, resident: Resident) -> None:
        """Have a version in memory; to be called from the event loop.

        Raises:
            Refusal: 503 if that takes too long, or fails.
        """
        package = resident.package
        if package.is_warm:
            return
        if (waking := self._waking.get(package)) is None:
            waking = self._waking[package] = self._loaders.submit(self._wake, table, package)
        name = f"{resident.model} version {resident.version}"
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(waking)), PATIENCE_SECONDS)
        except TimeoutError:
            raise Refusal(503, f"{name} is being loaded; try again in a second") from None
        except Exception as error:
            if package not in self._failed:
                problem = self._failed[package] = failed_load(resident.model, resident.version, error)
                self._on_problem(problem)
            raise Refusal(503, f"{name} cannot be loaded; see /v2/health/ready") from error
        else:
            self._failed.pop(package, None)
        finally:
            if waking.done():
                self._waking.pop(package, None)

    def _wake(self, table: Table, package: PackagedModel) -> None:
        awaken(package)
        package.used_at = time.monotonic()
        self.settle(table, package)

    def _warm(self) -> list[PackagedModel]:
        with self._lock:
            return [package for package in self._packages if package.is_warm]
