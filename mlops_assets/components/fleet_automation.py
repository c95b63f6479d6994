"""The fleet's automation as a component: one sensor and one schedule, for any number of models."""

import dagster as dg
from pydantic import BaseModel, ConfigDict, Field

from mlops_assets.automation.fleet import fleet_definitions
from mlops_assets.components.model_lifecycle import ModelLifecycle


class FleetAutomationAttributes(BaseModel):
    """What a fleet may say about its automation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    monitoring_cron: str = Field("0 6 * * *", description="When the monitoring pass runs (UTC).")
    drill_cron: str = Field("0 5 * * 1", description="When rollbacks are rehearsed (UTC).")
    compaction_cron: str = Field(
        "*/15 * * * *", description="When the prediction log is compacted, and old days deleted (UTC)."
    )
    retraining_interval_seconds: int = Field(60, ge=10, description="How often the sensor looks.")


class FleetAutomation(dg.Component):
    """The schedules and the retraining sensor of the whole fleet.

    A project needs one of these, however many models it has. All run without being switched on: one
    schedule looks at the last complete window of every model, one compacts the prediction log and deletes
    what it need not keep, and the sensor starts a retraining where monitoring showed harm, age or new data.
    """

    def __init__(self, attributes: FleetAutomationAttributes) -> None:
        """Make the component.

        Args:
            attributes: When they run.
        """
        self.attributes = attributes

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Return the attributes' schema."""
        return FleetAutomationAttributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "FleetAutomation":
        """Return the component for validated attributes."""
        if not isinstance(attributes, FleetAutomationAttributes):
            attributes = FleetAutomationAttributes()
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the jobs, the schedules and the sensors."""
        asked, tree = self.attributes, context.component_tree
        places = tree.find_root_decl().iterate_loc_component_decl_pairs()
        models = [
            tree.load_component(place, ModelLifecycle).watched
            for place, declared in places
            if declared.component_type is ModelLifecycle
        ]
        return fleet_definitions(
            models,
            asked.monitoring_cron,
            asked.retraining_interval_seconds,
            asked.drill_cron,
            asked.compaction_cron,
        )
