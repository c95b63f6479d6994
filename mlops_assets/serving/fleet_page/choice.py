"""Which models the fleet page shows, and in which order: plain parameters of its address."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlencode

from mlops_assets.serving.refusal import Refusal
from mlops_assets.specs.alert_rules import SEVERITIES
from mlops_assets.specs.policy import RISKS

Record = dict[str, Any]
Key = Callable[[Record], Any]

ORDERS = ("asc", "desc")
ONLY: Mapping[str, Callable[[Record], Any]] = {
    "harm": lambda model: (model["watched"] or {}).get("harm"),
    "incidents": lambda model: model["incidents"],
    "drift": lambda model: (model["watched"] or {}).get("drifted"),
    "rollout": lambda model: model["rollout"],
    "trouble": lambda model: not model["as_ordered"],
}
# By what one may sort; those that begin with what is least are so that the worst comes first.
_ASCENDING = ("model", "owner", "performance", "drill")
SORTS: Mapping[str, Key] = {
    "model": lambda model: model["model"],
    "owner": lambda model: model["owner"],
    "risk": lambda model: RISKS.index(model["risk"]) if model["risk"] in RISKS else None,
    "rows": lambda model: sum(version["rows"] for version in model["versions"]),
    "errors": lambda model: sum(version["errors"] for version in model["versions"]),
    "performance": lambda model: (model["watched"] or {}).get("change"),
    "drift": lambda model: (model["watched"] or {}).get("drifted"),
    "incidents": lambda model: _worst(model["incidents"]),
    "cost": lambda model: (model["watched"] or {}).get("cost"),
    "drill": lambda model: model["last_drill"] and (model["last_drill"]["passed"], model["last_drill"]["at"]),
}


def _worst(incidents: list[Record]) -> tuple[int, int] | None:
    return (SEVERITIES.index(incidents[0]["severity"]), len(incidents)) if incidents else None


@dataclass(frozen=True)
class Choice:
    """What a reader has chosen.

    Attributes:
        q: Text that the model's name or its owner has in it, in whatever case.
        owner: Models of this owner.
        risk: Models of this risk.
        only: Models of which this is so, one of :data:`ONLY`.
        sort: By what they are sorted, one of :data:`SORTS`.
        order: ``asc`` or ``desc``; what shows the worst first if empty.
    """

    q: str = ""
    owner: str = ""
    risk: str = ""
    only: str = ""
    sort: str = "model"
    order: str = ""

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> "Choice":
        """Return what the parameters of an address say.

        Raises:
            Refusal: 400: one of them has a value that there is not.
        """
        given = {name: parameters[name] for name in asdict(cls()) if parameters.get(name)}
        for name, values in (("only", ONLY), ("sort", SORTS), ("order", ORDERS), ("risk", RISKS)):
            if name in given and given[name] not in values:
                raise Refusal(400, f"{name} must be one of {', '.join(values)}")
        return cls(**given)

    @property
    def descends(self) -> bool:
        """Whether what is greatest comes first."""
        return self.order == "desc" if self.order else self.sort not in _ASCENDING

    def sorted_by(self, sort: str) -> "Choice":
        """Return what a click on a column's head chooses: another column, or the other direction."""
        if sort != self.sort:
            return replace(self, sort=sort, order="")
        return replace(self, order="asc" if self.descends else "desc")

    def address(self, **more: str) -> str:
        """Return the address of the page of this choice, not yet escaped."""
        chosen = {name: value for name, value in asdict(self).items() if value != getattr(Choice, name)}
        query = urlencode({**chosen, **more})
        return f"/fleet?{query}" if query else "/fleet"

    def of_models(self, models: list[Record]) -> list[Record]:
        """Return the records of the chosen models, in order; what has no value to sort by comes last."""
        chosen = [model for model in models if self._takes(model)]
        key = SORTS[self.sort]
        valued = [(value, model) for model in chosen if (value := key(model)) is not None]
        others = [model for model in chosen if key(model) is None]
        valued.sort(key=lambda each: each[0], reverse=self.descends)
        return [model for _, model in valued] + others

    def _takes(self, model: Record) -> bool:
        text = self.q.strip().casefold()
        return (
            (text in model["model"].casefold() or text in (model["owner"] or "").casefold())
            and self.owner in ("", model["owner"])
            and self.risk in ("", model["risk"])
            and (not self.only or bool(ONLY[self.only](model)))
        )
