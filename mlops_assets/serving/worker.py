"""One of several worker processes of a gateway: it answers by the routes that its supervisor says.

It believes no model: each version is proven by its signatures and its evidence, from what was kept or from
the registry, as a gateway does that is alone. Which of them serves, the supervisor decides for all.
"""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable

import msgspec
import uvicorn

from mlops_assets.errors import PackageError
from mlops_assets.garbage import collect_seldom, leave_out_what_is_here
from mlops_assets.governance.signatures import Verifier
from mlops_assets.home import Home
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.registry.port import RegistryReader
from mlops_assets.registry.reading import registry_reader
from mlops_assets.serving.app import Gateway
from mlops_assets.serving.declared_access import declared_access
from mlops_assets.serving.followed_routes import FollowedRoutes
from mlops_assets.serving.kept import Kept
from mlops_assets.serving.loading import load
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.proving import Prover, last_good
from mlops_assets.serving.residency import Residency
from mlops_assets.serving.settings import OBJECTS_BEFORE_COLLECTION
from mlops_assets.serving.shared_generation import SharedGeneration
from mlops_assets.serving.table import Resident
from mlops_assets.serving.uvicorn_settings import exit_cleanly_on_signals, http_config, serves_unlogged
from mlops_assets.serving.worker_messages import AT_WORKER, Begin, Channel, Version
from mlops_assets.specs.policy_file import current_policy

log = logging.getLogger("mlops_assets.gateway")


def main() -> None:
    """Answer until the supervisor says otherwise, or is gone; then finish what is being answered."""
    begin = msgspec.json.decode(sys.argv[1], type=Begin)
    home, settings = Home.from_environment(), begin.settings
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s %(levelname)s worker {begin.number}: %(message)s"
    )
    collect_seldom(OBJECTS_BEFORE_COLLECTION)
    exit_cleanly_on_signals()
    meters = Meters()
    access = declared_access(
        home,
        settings.host,
        allow_anonymous=settings.allow_anonymous,
        workers=settings.workers,
        on_problem=meters.note,
    )
    residency = Residency(settings.most_models, meters.note)
    routes = FollowedRoutes(
        Channel(socket.socket(fileno=begin.channel), AT_WORKER),
        SharedGeneration(begin.generation),
        _loader(home, residency),
        residency.settle,
    )
    threading.Thread(target=_follow, args=[routes], name="routes", daemon=True).start()
    routes.may_serve.wait()
    recorder = Recorder.for_home(home, f"gateway{begin.number}")
    gateway = Gateway(
        routes,
        recorder,
        meters,
        access=access,
        serve_unlogged=serves_unlogged(),
        everyone=routes.everyone,
        residency=residency,
        home=home,
    )
    routes.counting = gateway.counts
    access.start()
    leave_out_what_is_here()
    try:
        uvicorn.Server(http_config(gateway)).run(sockets=[socket.socket(fileno=begin.listener)])
    finally:
        access.stop()
        recorder.close()


def _follow(routes: FollowedRoutes) -> None:
    routes.follow()
    os.kill(os.getpid(), signal.SIGTERM)  # the supervisor is gone


def _loader(home: Home, residency: Residency) -> Callable[[Version, bool], Resident]:
    """Return what proves and loads a version as a gateway does, also while the registry is down."""
    prover = Prover(Verifier.for_home(home.root), last_good(current_policy))
    kept, registry = Kept(home.kept), registry_reader(home)

    def loaded(reader: RegistryReader, version: Version, warm: bool) -> Resident:
        resident = load(reader, prover, version.model, version.version, warm=warm)
        if (found := resident.package.digest) != version.candidate:
            said = f"{version.model} version {version.version} is package {found[:12]} here"
            raise PackageError(f"{said}, and not {version.candidate[:12]}")
        residency.note(resident)
        return resident

    def load_one(version: Version, known: bool) -> Resident:
        warm = residency.has_room or not known
        try:
            return loaded(kept, version, warm)
        except Exception as error:
            log.info("what was kept of %s version %s is not used: %s", version.model, version.version, error)
        return loaded(registry, version, warm)

    return load_one


if __name__ == "__main__":
    main()
