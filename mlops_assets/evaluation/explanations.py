"""What the predictions of a model rest on: the gate ``explanations``.

The importance of a feature is how much it moves predictions, not how much it betters them: a model may rest
on what does it no good.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DataError
from mlops_assets.evaluation.attributions import NotAttributableError, attribute
from mlops_assets.evaluation.holdout import Holdout
from mlops_assets.specs.gate_rules import ExplanationRules
from mlops_assets.training.package import PackagedModel
from mlops_assets.verdict import Figure, Measurement

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_ROWS = 500
_LEAVES = 5e6  # to visit for all rows, which takes a second or two
_REPEATS = 3
_SEED = 0
_FEWEST_FEATURES = 3
_FEWEST_IN_COMMON = 5  # of fewer the order says little: two that change places are a great difference
_MOST_FINDINGS = 50


@dataclass(frozen=True)
class Importances:
    """How much of all that moves predictions each feature has.

    Attributes:
        shares: Share of each feature, strongest first; empty if nothing moves predictions.
        method: How they were found.
    """

    shares: Mapping[str, float]
    method: str


def measure_explanations(
    holdout: Holdout, rules: ExplanationRules, champion: PackagedModel | None
) -> Measurement:
    """Return what a candidate's predictions rest on, and whether that is what the champion's rest on.

    Args:
        holdout: The candidate beside its hold-out, of which at most 500 rows are taken.
        rules: What the policy demands; nothing of it says how to measure.
        champion: What serves, or None.
    """
    names = holdout.package.manifest.feature_names
    if len(names) < _FEWEST_FEATURES:
        return Measurement(
            gate="explanations",
            summary=f"predictions rest on {' and '.join(names)}, there is no other feature",
            not_applicable=f"of fewer than {_FEWEST_FEATURES} features one always has most of the weight",
        )
    rows = _sampled(holdout.rows)
    own = importances(holdout.package, rows)
    before = _of_champion(champion, rows)
    stability = _stability(own, before)
    champions = before.shares if before is not None else {}
    return Measurement(
        gate="explanations",
        summary=f"{_told(own)}; stability {stability.value:.2f}: {stability.note}",
        figures=(_top_share(own), stability),
        findings=tuple(
            {"feature": name, "share": share}
            | ({"champion_share": champions[name]} if name in champions else {})
            for name, share in own.shares.items()
        )[:_MOST_FINDINGS],
        facts={"method": own.method, "rows": len(rows)},
    )


def importances(package: PackagedModel, rows: "pd.DataFrame") -> Importances:
    """Return the share of each feature in all that moves predictions.

    By the mean absolute Shapley value where exact ones are cheap, else by how much predictions change when
    the feature's values are exchanged among the rows.

    Source of the latter: Fisher, Rudin and Dominici, "All Models are Wrong, but Many are Useful: Learning a
    Variable's Importance by Studying an Entire Class of Prediction Models Simultaneously", Journal of
    Machine Learning Research 20 (2019), section 3, with the model's own predictions as the truth.

    Args:
        package: The model.
        rows: Raw rows.
    """
    import numpy as np

    manifest = package.manifest
    features = package.view.compute(rows, manifest.feature_types)[list(manifest.feature_names)]
    try:
        found = attribute(package.estimator, manifest.task, features, features, _LEAVES)
        strengths, method = np.abs(found.values).mean(axis=(0, 2)), f"{found.method}, {found.scale}"
    except NotAttributableError as error:
        strengths, method = _by_exchange(package, features), f"change when values are exchanged: {error}"
    total = strengths.sum()
    if total == 0:
        return Importances({}, method)
    order = np.argsort(-strengths, kind="stable")
    return Importances({manifest.feature_names[i]: float(strengths[i] / total) for i in order}, method)


def _by_exchange(package: PackagedModel, features: "pd.DataFrame") -> "np.ndarray[Any, Any]":
    import numpy as np

    generator = np.random.default_rng(_SEED)
    own = package.predict_features(features)
    strengths = np.zeros(features.shape[1])
    for place, name in enumerate(features.columns):
        for _ in range(_REPEATS):
            values = features[name].iloc[generator.permutation(len(features))].set_axis(features.index)
            strengths[place] += np.abs(
                package.predict_features(features.assign(**{name: values})) - own
            ).mean()
    return strengths


def _sampled(rows: "pd.DataFrame") -> "pd.DataFrame":
    import numpy as np

    chosen = np.random.default_rng(_SEED).choice(len(rows), min(len(rows), _ROWS), replace=False)
    return rows.iloc[np.sort(chosen)].reset_index(drop=True)


def _of_champion(champion: PackagedModel | None, rows: "pd.DataFrame") -> Importances | None:
    """Return the champion's importances on the same rows; None if there are none."""
    if champion is None or not {column.name for column in champion.manifest.inputs} <= set(rows.columns):
        return None
    try:
        return importances(champion, rows)
    except DataError:
        return None


def _top_share(own: Importances) -> Figure:
    if not own.shares:
        return Figure(
            name="top_share", value=None, limit="max_top_share", note="no feature moves predictions"
        )
    strongest, share = next(iter(own.shares.items()))
    return Figure(name="top_share", value=share, limit="max_top_share", note=strongest)


def _stability(own: Importances, before: Importances | None) -> Figure:
    """Return the rank correlation (Spearman) of two models' importances over their common features.

    Where there is nothing to compare with, nothing has changed either: it is 1, and the note tells why.
    """
    from scipy.stats import spearmanr

    def figure(value: float, note: str) -> Figure:
        return Figure(name="stability", value=value, limit="min_stability", note=note)

    if before is None:
        return figure(1.0, "there is no champion to compare with on these rows")
    common = [name for name in own.shares if name in before.shares]
    if len(common) < _FEWEST_IN_COMMON:
        return figure(1.0, "champion and candidate have too few features in common to compare them")
    found = spearmanr([own.shares[n] for n in common], [before.shares[n] for n in common])
    return figure(float(found.statistic), f"over the {len(common)} features common with the champion")


def _told(own: Importances) -> str:
    strongest = ", ".join(f"{name} {share:.0%}" for name, share in list(own.shares.items())[:3])
    return f"predictions rest on {strongest or 'nothing'} ({own.method})"
