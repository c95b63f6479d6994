"""What warm processes do with the model ``tumour``: launch all or part of its road, see ``lifecycles.py``."""

import json
from datetime import datetime
from pathlib import Path

_INSEPARABLE = ("approvals", "smoke_test", "online_offline_parity")


def launch(stages: list[str], as_of: str, checks: bool, into: str) -> None:
    """Run some stages in one Dagster run, with or without their gates, and write down how it ended."""
    import dagster as dg

    from mlops_assets.cli.instance import open_instance
    from mlops_assets.cli.project import Project, quiet_dagster
    from mlops_assets.home import Home
    from mlops_assets.monitoring.windows import windows_to_assess
    from mlops_assets.stages.monitoring_report import partition_of, pass_config

    project = Project.around()
    keys = [dg.AssetKey(["tumour", stage]) for stage in stages]
    selection = dg.AssetSelection.assets(*keys)
    if not checks:
        # What the deployment itself checks cannot be left out: Dagster refuses such a job.
        endpoint = dg.AssetKey(["tumour", "deployed_endpoint"])
        inseparable = [dg.AssetCheckKey(key, name) for key in {endpoint} & set(keys) for name in _INSEPARABLE]
        selection = selection.without_checks() | dg.AssetSelection.checks(*inseparable)
    config = {"ops": {"tumour__raw_data": {"config": {"as_of": as_of}}}} if "raw_data" in stages else {}
    partition = None
    if "monitoring_report" in stages:
        data, period = project.spec("tumour").spec.data, project.spec("tumour").spec.monitoring.window
        time = datetime.fromisoformat(as_of)
        start, _ = windows_to_assess(time, period, data.label_delay)[-1]
        config, partition = pass_config(period, time), partition_of(start, period)
    with quiet_dagster(), open_instance(Home.from_environment().prepare()) as instance:
        job = dg.define_asset_job("part", selection, executor_def=dg.in_process_executor)
        definitions = dg.Definitions.merge(
            project.definitions([project.spec("tumour")]), dg.Definitions(jobs=[job])
        )
        result = definitions.resolve_job_def("part").execute_in_process(
            instance=instance,
            run_config=config,
            partition_key=partition,
            raise_on_error=False,
        )
    failed = {e.step_key: e.step_failure_data for e in result.all_events if e.is_step_failure}
    told = {
        "run_id": result.run_id,
        "success": result.success,
        "materialized": [
            e.asset_key.path[-1] for e in result.all_events if e.is_step_materialization and e.asset_key
        ],
        "refused_by": [c.check_name for c in result.get_asset_check_evaluations() if not c.passed],
        "failures": {
            step: (data.user_failure_data and data.user_failure_data.description) or str(data.error)
            for step, data in failed.items()
        },
    }
    Path(into).write_text(json.dumps(told))


def serve_some(rows: int, start: str, shift: float = 0.0, wrong: bool = False) -> None:
    """Have a gateway answer requests, tell it what turned out to be true, and end it.

    Args:
        rows: How many tumours, ten minutes apart.
        start: When the first was measured.
        shift: What is added to a feature.
        wrong: Whether the labels are the opposite of what they were in training.
    """
    import pandas as pd

    from mlops_assets.cli.project import Project
    from mlops_assets.gateway_process import running_gateway
    from mlops_assets.home import Home
    from mlops_assets.prediction_log.prediction import Label

    spec = Project.around().spec("tumour")
    table = pd.read_csv(spec.file.parent / "tumours.csv").head(rows)
    table["measured_at"] = pd.date_range(start, periods=len(table), freq="10min")
    table["mean_texture"] += shift
    labels = (1 - table["benign"] if wrong else table["benign"]).tolist()
    with running_gateway(Home.from_environment()) as gateway:
        answers = gateway.infer("tumour", table[["measured_at", *(c.name for c in spec.spec.data.features)]])
        known = zip(answers.prediction_ids, labels, strict=True)
        gateway.feedback("tumour", [Label(id_, label, datetime.fromisoformat(start)) for id_, label in known])
