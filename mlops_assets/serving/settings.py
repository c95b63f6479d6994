"""What a gateway is started with."""

import msgspec

from mlops_assets.errors import EndpointError

# For :func:`mlops_assets.garbage.collect_seldom`: each request holds thousands of numbers, for a moment.
OBJECTS_BEFORE_COLLECTION = 10_000


class Settings(msgspec.Struct, frozen=True):
    """How a gateway is to serve.

    Attributes:
        host: Address to listen on.
        workers: Processes that share the port and answer by the same routes.
        most_models: Versions in memory at once, in each of them; as many as there are if None.
        allow_anonymous: Whether whoever shows no credential may call, too.

    Raises:
        EndpointError: There are to be no workers, or no models.
    """

    host: str
    workers: int = 1
    most_models: int | None = None
    allow_anonymous: bool = False

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise EndpointError(f"--workers must be at least 1, not {self.workers}")
        if self.most_models is not None and self.most_models < 1:
            raise EndpointError(f"--most-models must be at least 1, not {self.most_models}")
