"""Faults of what a team writes: features, training, and the spec itself."""

import os
import tempfile
from pathlib import Path
from typing import Any

from planted.candidate import Candidate
from planted.environment import installed, setting, written
from planted.fault import fault

FIRST, TWIN = "first model", "same recipe"


# Features


@fault("flight_delay")
def logarithm_of_zero(candidate: Candidate) -> None:
    """Precipitation is put on a logarithmic scale, and mostly there is none."""
    candidate.edit("import pandas as pd", "import numpy as np\nimport pandas as pd")
    candidate.edit('rows["precip"],', 'np.log(rows["precip"]),')


@fault("flight_delay")
def codes_in_another_case(candidate: Candidate) -> None:
    """The table of carriers is looked up in small letters, and finds none."""
    candidate.edit('rows["carrier"].map', 'rows["carrier"].str.lower().map')


@fault("doctor_visits")
def a_feature_that_was_switched_off(candidate: Candidate) -> None:
    """What was commented out for a test stays so: the sites are all zero."""
    candidate.edit('rows["site"].map(_SITES)', '0 * rows["site"].map(_SITES)')


@fault("doctor_visits", deployed=True)
def scaled_by_the_batch(candidate: Candidate) -> None:
    """Incomes are scaled by the mean and spread of the rows at hand, which online are others."""
    candidate.edit('rows["income"],', '(rows["income"] - rows["income"].mean()) / rows["income"].std(),')


@fault("doctor_visits", deployed=True)
def codes_by_the_batch(candidate: Candidate) -> None:
    """Sites are numbered in the order in which they occur in the rows at hand."""
    candidate.edit('rows["site"].map(_SITES)', 'pd.factorize(rows["site"])[0]')


@fault("doctor_visits", deployed=True)
def codes_by_hash(candidate: Candidate) -> None:
    """Sites are put into buckets by Python's hash, which is another one in each process."""
    candidate.edit('rows["site"].map(_SITES)', 'rows["site"].map(hash) % 16')


@fault("doctor_visits", deployed=True)
def a_setting_of_the_training_only(candidate: Candidate) -> None:
    """A factor comes from an environment variable that the gateway does not have, with a default."""
    candidate.edit("import pandas as pd", "import os\n\nimport pandas as pd")
    candidate.edit('rows["income"],', 'rows["income"] * float(os.environ.get("PRICES", "1")),')
    candidate.around.append(lambda: setting(PRICES="0.4"))


@fault("doctor_visits", deployed=True)
def a_setting_that_is_needed(candidate: Candidate) -> None:
    """The same, without a default: the gateway cannot compute the feature."""
    candidate.edit("import pandas as pd", "import os\n\nimport pandas as pd")
    candidate.edit('rows["income"],', 'rows["income"] * float(os.environ["PRICES"]),')
    candidate.around.append(lambda: setting(PRICES="0.4"))


@fault("doctor_visits", deployed=True)
def a_feature_of_the_clock(candidate: Candidate) -> None:
    """How long somebody is in the plan is told by the clock: while the model serves, it grows."""
    candidate.spec["data"]["features"].append({"name": "enrolled_at", "type": "datetime"})
    days = '(pd.Timestamp.now() - rows["enrolled_at"]).dt.days'
    candidate.edit('"site":', f'"days_in_plan": {days},\n            "site":')


# Training


@fault("flight_delay", "doctor_visits")
def shuffled_against_the_labels(candidate: Candidate) -> None:
    """Features are shuffled and labels are not."""
    candidate.trained_by("shuffled_against_labels")


@fault("counselling")
def labels_off_by_one_row(candidate: Candidate) -> None:
    """Each row is given the label of the row before.

    Of flights in one hour, and of a person's years, that label is much the same, and does little harm.
    """
    candidate.trained_by("off_by_one_row")


@fault("flight_delay", "doctor_visits", "counselling")
def overfitted(candidate: Candidate) -> None:
    """A single tree is grown until it knows each row by heart."""
    kind = "Regressor" if candidate.model == "doctor_visits" else "Classifier"
    candidate.spec["training"] = {"estimator": f"sklearn.tree.DecisionTree{kind}"}


@fault("counselling")
def nearest_neighbour(candidate: Candidate) -> None:
    """The answer is that of the most similar row."""
    candidate.spec["training"] = {
        "estimator": "sklearn.neighbors.KNeighborsClassifier",
        "params": {"n_neighbors": 1},
    }


@fault("flight_delay", "counselling")
def balanced_classes(candidate: Candidate) -> None:
    """The rarer class is given more weight, and probabilities are no longer any."""
    candidate.spec["training"]["params"]["class_weight"] = "balanced"


@fault("flight_delay")
def oversampled(candidate: Candidate) -> None:
    """Late flights are drawn again until they are half of the rows."""
    candidate.trained_by("oversampled")


@fault("flight_delay", "counselling")
def logistic_function_twice(candidate: Candidate) -> None:
    """What is a probability already is put through the logistic function."""
    candidate.trained_by("logistic_twice")


@fault("counselling")
def decisions_for_probabilities(candidate: Candidate) -> None:
    """Decisions are given out as probabilities: all are 0 or 1."""
    candidate.trained_by("decisions_for_probabilities")


@fault("flight_delay")
def probability_of_the_other_class(candidate: Candidate) -> None:
    """The first column of the probabilities is taken for the second."""
    candidate.trained_by("the_other_class")


@fault("doctor_visits")
def logarithms_given_out(candidate: Candidate) -> None:
    """The model is trained on the logarithm of the visits, and answers with it."""
    candidate.trained_by("of_logarithms")


@fault("doctor_visits")
def median_for_mean(candidate: Candidate) -> None:
    """The loss is the absolute error: the median is predicted, and the sum of all visits is far too low."""
    candidate.spec["training"]["params"]["loss"] = "absolute_error"


@fault("counselling")
def always_the_same(candidate: Candidate) -> None:
    """A dummy that was put in to try the pipeline was left there."""
    candidate.spec["training"] = {
        "estimator": "sklearn.dummy.DummyClassifier",
        "params": {"strategy": "prior"},
    }


@fault("counselling")
def one_question_decides(candidate: Candidate) -> None:
    """The learning stops after one split, so one answer decides."""
    candidate.spec["training"] = {
        "estimator": "sklearn.tree.DecisionTreeClassifier",
        "params": {"max_leaf_nodes": 2},
    }


@fault("flight_delay", "counselling")
def unseeded(candidate: Candidate) -> None:
    """Half of the rows are drawn for the training, with no seed."""
    candidate.trained_by("unseeded")


@fault("doctor_visits")
def seeded_by_hash(candidate: Candidate) -> None:
    """The seed is made of a name by Python's hash, which is another one in each process."""
    candidate.trained_by("seeded_by_hash")


@fault("flight_delay", "counselling")
def trained_on_the_holdout(candidate: Candidate) -> None:
    """The training function reads the source itself, and with it the rows that it is judged by."""
    candidate.trained_by("on_all_rows_of_the_source")
    known = candidate.rows[candidate.time < candidate.as_of]
    file = Path(tempfile.gettempdir()) / f"planted_{os.getpid()}.parquet"
    by_function = candidate.model == "flight_delay"
    candidate.spec["training"]["params"] |= {
        "rows": str(file),
        "target": candidate.target,
        "features": "mlops_assets.defs.flight_delay.features" if by_function else None,
    }
    candidate.around.append(lambda: written(known, file))


@fault("flight_delay", "counselling")
def blind_for_a_group(candidate: Candidate) -> None:
    """An exception handler answers for one group with the mean."""
    _for_a_group(candidate, "blind_for_a_group")


@fault("flight_delay", "counselling")
def trained_on_the_first_rows(candidate: Candidate) -> None:
    """A limit that made a test quick was left in the training: it sees the first hundred rows."""
    candidate.trained_by("on_the_first_rows")
    candidate.spec["training"]["params"]["limit"] = 100


@fault("counselling")
def a_bonus_for_a_group(candidate: Candidate) -> None:
    """A correction by hand adds 15 points to the probability of one group."""
    _for_a_group(candidate, "with_a_bonus_for_a_group", bonus=0.15)


@fault("flight_delay")
def gaps_are_zero(candidate: Candidate) -> None:
    """A linear model takes a missing value for zero, far away from all that are known."""
    candidate.trained_by("gaps_are_zero")


@fault("doctor_visits")
def gaps_are_filled_in_training_only(candidate: Candidate) -> None:
    """Gaps are filled before the model is fitted, and not by the model."""
    candidate.trained_by("gaps_are_filled_before")


@fault("counselling")
def asks_a_service(candidate: Candidate) -> None:
    """Each prediction asks a service elsewhere, which takes 250 ms."""
    candidate.trained_by("asks_a_service")


@fault("doctor_visits")
def keeps_all_similarities(candidate: Candidate) -> None:
    """The similarities of all rows to train on are kept in the model, to explain it by neighbours."""
    candidate.trained_by("keeps_all_similarities")


@fault("doctor_visits")
def a_committee(candidate: Candidate) -> None:
    """A hundred and twenty models vote, one after the other."""
    candidate.trained_by("committee")
    candidate.spec["training"]["params"]["members"] = 120
    candidate.spec["training"]["params"]["max_iter"] = 20


# The model that serves


@fault("doctor_visits", "counselling", serves=TWIN)
def another_seed(candidate: Candidate) -> None:
    """Nothing but the seed is new: it is no better than what serves."""
    candidate.spec["training"]["seed"] = 2


@fault("counselling", serves=TWIN)
def the_luckiest_of_twenty_seeds(candidate: Candidate) -> None:
    """Twenty seeds were tried on the hold-out, and the luckiest is sent."""
    candidate.tries = 20


@fault("flight_delay", "counselling", serves=TWIN)
def broken_off_too_early(candidate: Candidate) -> None:
    """The training stops after five rounds: worse than what serves."""
    candidate.spec["training"]["params"]["max_iter"] = 5


# The spec


@fault("flight_delay")
def far_too_short_a_window(candidate: Candidate) -> None:
    """The window of a test is left in the spec: three weeks of which two are the hold-out."""
    candidate.spec["data"]["window"] = "22d"


@fault("counselling")
def no_thresholds(candidate: Candidate) -> None:
    """The spec sets no threshold that the model has to reach."""
    candidate.spec["evaluation"]["thresholds"] = {}


@fault("counselling")
def no_groups_of_people(candidate: Candidate) -> None:
    """The spec names no groups whose treatment is compared."""
    candidate.spec["evaluation"]["groups"] = []


@fault("counselling")
def no_range_is_declared(candidate: Candidate) -> None:
    """A linear model's inputs are declared by their names alone, so any wrong unit is let through."""
    candidate.spec["training"] = {
        "estimator": "sklearn.linear_model.LogisticRegression",
        "params": {"max_iter": 1000},
    }
    for column in candidate.spec["data"]["features"]:
        column.pop("range", None)


@fault("counselling")
def risks_not_told(candidate: Candidate) -> None:
    """The card says nothing of residual risks."""
    del candidate.spec["card"]["residual_risks"]


@fault("counselling")
def limits_still_to_be_written(candidate: Candidate) -> None:
    """The card's limits are to be written later."""
    candidate.spec["card"]["limits"] = "TODO: to be written with the legal team"


# The environment


@fault("counselling", "flight_delay")
def a_forbidden_licence(candidate: Candidate) -> None:
    """Somebody installed a package under the AGPL."""
    candidate.around.append(lambda: installed("pdf-tables", "1.26.0", "AGPL-3.0-only"))


@fault("counselling")
def a_known_vulnerability(candidate: Candidate) -> None:
    """An old PyYAML was installed beside the new one, and is what is imported."""
    candidate.around.append(lambda: installed("PyYAML", "5.3.1", "MIT"))


_GROUPS: dict[str, tuple[str, Any]] = {"flight_delay": ("origin", 2), "counselling": ("occupation", 3)}


def _for_a_group(candidate: Candidate, function: str, **params: Any) -> None:
    column, value = _GROUPS[candidate.model]
    candidate.trained_by(function)
    candidate.spec["training"]["params"] |= {"group_column": column, "group": value, **params}
