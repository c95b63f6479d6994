"""What warm processes do with a home: see ``whole_processes.py``."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def prepare() -> None:
    """Make the databases of a home."""
    from mlops_assets.cli.instance import open_instance
    from mlops_assets.home import Home
    from mlops_assets.resources import Platform

    with open_instance(Home.from_environment().prepare()):
        platform = Platform()
        platform.registry.aliases()
        platform.state.last_trainings()
        platform.audit.head()


def inspect(into: str) -> None:
    """Write down the state of a home, without what differs from run to run: ids and times."""
    Path(into).write_text(json.dumps(_state(), sort_keys=True))


def _state() -> dict[str, Any]:
    from mlops_assets.cli.instance import open_instance
    from mlops_assets.home import Home
    from mlops_assets.resources import Platform

    home, platform = Home.from_environment(), Platform()
    client = platform.registry.client
    with open_instance(home) as instance:
        dagster_runs = sorted(run.status.value for run in instance.get_runs())
    experiments = [e.experiment_id for e in client.search_experiments()]
    trainings = [r for r in client.search_runs(experiments) if "mlops.recipe" in r.data.tags]
    files = [f for f in home.root.rglob("*") if f.is_file()]
    names = [str(f.relative_to(home.root)) for f in files]
    return {
        "aliases": platform.registry.aliases(),
        "versions": [
            {"version": v.version, "tags": {k: t for k, t in v.tags.items() if k not in _OF_THE_RUN}}
            for v in platform.registry.versions("tumour")
        ],
        "finished_trainings": sorted(r.data.tags["mlops.recipe"] for r in trainings if _is(r, "FINISHED")),
        "open_trainings": sum(not _is(r, "FINISHED", "KILLED", "FAILED") for r in trainings),
        "logged": sorted(
            [sorted(r.data.params.items()), sorted(r.data.metrics.items())]
            for r in trainings
            if _is(r, "FINISHED")
        ),
        "open_dagster_runs": [s for s in dagster_runs if s not in ("SUCCESS", "FAILURE", "CANCELED")],
        "records": {
            name: _without_ids(json.loads(file.read_text())["value"])
            for name, file in zip(names, files, strict=True)
            if name.startswith("records/") and name.endswith(".json")
        },
        "verdicts": sorted(n for n in names if n.startswith("verdicts/") and n.endswith(".json")),
        "content": sorted(n for n in names if n.startswith(("snapshots/", "features/")) and "/." not in n),
        "changes": [[e.action, e.detail.get("version")] for e in platform.audit.entries("tumour")],
        "audit_findings": platform.audit.verify(platform.verifier),
        "last_trainings": {k: str(v) for k, v in platform.state.last_trainings().items()},
        "gateway": [n for n in names if n == "gateway.url"],
        "schemas": {name: _schema(home.root / name) for name in _DATABASES},
    }


# What says when and in which run something was found: evidence and release are signed with it.
_OF_THE_RUN = ("mlops.dagster_run", "mlops.evidence", "mlops.release")

_DATABASES = (
    "dagster/history/runs.db",
    "dagster/history/runs/index.db",
    "dagster/schedules/schedules.db",
    "fleet.db",
    "mlflow.db",
)


def _schema(file: Path) -> list[str]:
    """Return the tables and indexes of a database, and which migrations it has seen."""
    with closing(sqlite3.connect(file)) as database:
        made = [str(name) for (name,) in database.execute("SELECT name FROM sqlite_master")]
        for table, column in (("alembic_version", "version_num"), ("secondary_indexes", "name")):
            if table in made:
                rows = database.execute(f"SELECT {column} FROM {table}").fetchall()
                made += [f"{table} {value}" for (value,) in rows]
    return sorted(made)


def _is(run: Any, *statuses: str) -> bool:
    return run.info.status in statuses


def _without_ids(record: Any) -> Any:
    # Nor with what it was compared: a candidate that serves already is not compared with itself.
    left_out = ("run_id", "experiment", "comparison")
    if isinstance(record, dict):
        return {k: _without_ids(v) for k, v in record.items() if k not in left_out}
    return record
