"""Every model of an enterprise, from raw data to a watched production endpoint.

The one name a project needs is :class:`ModelLifecycle`, the Dagster component that turns a spec
into assets. It is loaded on first use, so that the gateway and the core, which import this
package too, never pay for Dagster.
"""

from typing import TYPE_CHECKING, Any

from mlops_assets.version import __version__

if TYPE_CHECKING:
    from mlops_assets.components import FleetAutomation, ModelLifecycle

__all__ = ["FleetAutomation", "ModelLifecycle", "__version__"]


def __getattr__(name: str) -> Any:
    if name in ("FleetAutomation", "ModelLifecycle"):
        from mlops_assets import components

        return getattr(components, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
