"""Honest candidates: other times, other windows, other models, and each of them better than what serves."""

from typing import Any

from planted.candidate import Candidate
from planted.fault import CLEAN, Plant, Planting

FIRST = "first model"
_FOREST = {"n_estimators": 60, "min_samples_leaf": 20}

# The name of a change, and what of the candidate it changes: when it is trained, the window, the training.
_CHANGES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "flight_delay": [
        ("as its team means it", {}),
        ("trained in April", {"as_of": "2013-04-01"}),
        ("trained in May", {"as_of": "2013-05-01"}),
        ("trained in July", {"as_of": "2013-07-01"}),
        ("trained in August, on four months", {"as_of": "2013-08-01", "window": "120d"}),
        ("trained in September, on four months", {"as_of": "2013-09-01", "window": "120d"}),
        ("trained in October, on four months", {"as_of": "2013-10-01", "window": "120d"}),
        ("on two months", {"window": "60d"}),
        ("slower and longer", {"params": {"max_iter": 400, "learning_rate": 0.03, "early_stopping": False}}),
        ("a forest", {"estimator": "sklearn.ensemble.RandomForestClassifier", "params": _FOREST}),
    ],
    "doctor_visits": [
        ("as its team means it", {}),
        ("trained in March", {"as_of": "1977-03-01"}),
        ("trained in April", {"as_of": "1977-04-01"}),
        ("on eight months", {"window": "240d"}),
        ("another seed", {"seed": 7}),
        ("for counts", {"params": {"max_iter": 80, "learning_rate": 0.06, "loss": "poisson"}}),
        ("a forest", {"estimator": "sklearn.ensemble.RandomForestRegressor", "params": _FOREST}),
    ],
    "counselling": [
        ("as its team means it", {}),
        ("trained in December", {"as_of": "1974-12-20"}),
        ("trained in January", {"as_of": "1975-01-15"}),
        ("on nine months", {"window": "270d"}),
        ("another seed", {"seed": 7}),
        ("a logistic regression", {
            "estimator": "sklearn.linear_model.LogisticRegression", "params": {"max_iter": 1000},
        }),
        ("a forest", {"estimator": "sklearn.ensemble.RandomForestClassifier", "params": _FOREST}),
    ],
}  # fmt: skip
_CHALLENGERS = {
    "flight_delay": ("as its team means it", "on two months", "slower and longer", "a forest"),
    "doctor_visits": ("as its team means it", "another seed", "for counts", "a forest"),
    "counselling": ("as its team means it", "another seed", "a logistic regression", "a forest"),
}


def _changing(change: dict[str, Any]) -> Plant:
    def plant(candidate: Candidate) -> None:
        candidate.as_of = change.get("as_of", candidate.as_of)
        if "window" in change:
            candidate.spec["data"]["window"] = change["window"]
        training = {k: v for k, v in change.items() if k in ("estimator", "params", "seed")}
        candidate.spec["training"] |= training

    return plant


for _model, _changes in _CHANGES.items():
    for _name, _change in _changes:
        CLEAN.append(Planting(_name, _model, "", _changing(_change)))
    for _name in _CHALLENGERS[_model]:
        CLEAN.append(Planting(_name, _model, "", _changing(dict(_changes)[_name]), serves=FIRST))
