"""Small facts of a version for the tests of what is made of them."""

from datetime import datetime
from typing import Any

from mlops_assets.governance.card_facts import (
    ApprovalFacts,
    Bar,
    CalibrationBin,
    CardFacts,
    ColumnFacts,
    DataFacts,
    GroupFigure,
    TrainingFacts,
    card_facts,
)
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.verdict import Breach, Figure, Measurement, Verdict


def small_spec(**changes: Any) -> ModelSpec:
    value: dict[str, Any] = {
        "name": "small",
        "owner": "team:tests",
        "risk": "minimal",
        "purpose": "Stand for a team's model in a test.",
        "task": "binary_classification",
        "data": {
            "source": {"type": "csv", "path": "rows.csv"},
            "time_column": "t",
            "target": "y",
            "key": ["id"],
            "features": [
                {"name": "a", "range": [0, None]},
                {"name": "b", "type": "string", "sensitive": True},
            ],
        },
        "training": {"estimator": "sklearn.linear_model.LogisticRegression"},
        "evaluation": {"primary_metric": "roc_auc"},
    }
    return ModelSpec.model_validate({**value, **changes})


def verdict(gate: str, *figures: Figure, breaches: tuple[Breach, ...] = (), **limits: float) -> Verdict:
    measurement = Measurement(
        gate=gate, summary=f"what {gate} found", figures=figures, findings=({"row": 1},)
    )
    return Verdict(measurement=measurement, limits=limits, breaches=breaches)


def small_card(text: str = "", **changes: Any) -> CardFacts:
    """Return facts in which everything is told, and ``text`` stands wherever somebody may write."""
    columns = (
        ColumnFacts(name=f"a{text}", role="feature", type="number", declared=f"≥ 0{text}", low="0", high="9",
                    distinct=10, bars=(Bar(label=f"0 … 9{text}", share=1.0),)),
        ColumnFacts(name="b", role="feature", type="string", sensitive=True, missing=0.25, distinct=2,
                    bars=(Bar(label=f"red{text}", share=0.75), Bar(label="blue", share=0.25))),
        ColumnFacts(name="y", role="target", type="int64"),
    )  # fmt: skip
    data = DataFacts(
        source=f"CSV rows{text}.csv",
        start=datetime(2024, 1, 1),
        end=datetime(2024, 7, 1),
        holdout_start=datetime(2024, 6, 1),
        rows=1200,
        training_rows=1000,
        holdout_rows=200,
        label_delay="1d",
        digests={f"raw data{text}": f"{'0' * 64}{text}"},
        columns=columns,
    )
    training = TrainingFacts(
        estimator=f"pkg.Estimator{text}",
        params={f"depth{text}": f"3{text}"},
        trained_at=datetime(2024, 7, 1, 6),
        runtime=f"onnx{text}",
        environment={f"numpy{text}": f"2.0{text}"},
    )
    auc = Figure(name="roc_auc", value=0.8, low=0.75, high=0.85, limit="roc_auc.min", note=f"so{text}")
    breach = Breach(figure="gap", says=f"the gap is too wide{text}")
    told: dict[str, Any] = {
        "version": "7",
        "metrics": (auc, Figure(name="brier", value=0.1)),
        "by_group": (
            GroupFigure(column=f"b{text}", value=f"red{text}", rows=150, figure=auc),
            GroupFigure(
                column=f"b{text}", value="blue", rows=50, figure=auc.model_copy(update={"value": 0.7})
            ),
        ),
        "calibration": (CalibrationBin(predicted=0.2, observed=0.25, low=0.2, high=0.3, rows=200),),
        "verdicts": (
            verdict("metric_thresholds", auc, **{"roc_auc.min": 0.7}),
            verdict("data_contract", Figure(name="failed", value=0, limit="max_failed"), max_failed=0),
            verdict(f"fairness{text}", breaches=(breach,)),
        ),
        "approvals": (
            ApprovalFacts(by=f"A{text}", decision="approve", reason=f"Good{text}", at=datetime(2024, 7, 2)),
        ),
        "versions": {f"package{text}": f"{'1' * 64}{text}"},
    }
    prose = {
        "limits": f"Not for people.{text}",
        "groups": f"Nobody.{text}",
        "residual_risks": f"Drift.{text}",
    }
    facts = card_facts(small_spec(), data, training, **{**told, **changes})
    return facts.model_copy(update={"purpose": f"{facts.purpose}{text}", **prose})
