"""What teams write in place of a plain ``fit``, with its faults; ``code_faults.py`` says what is wrong.

Each is a training function of a spec: ``train(features, target, params, seed) -> fitted estimator``, with the
estimator's class among the parameters.
"""

import importlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # noqa: TID253


def _estimator(params: dict[str, Any], seed: int | None) -> Any:
    module, _, name = params["estimator"].rpartition(".")
    others = {k: v for k, v in params.items() if k in _known(module, name)}
    return getattr(importlib.import_module(module), name)(random_state=seed, **others)


def _known(module: str, name: str) -> set[str]:
    kind = getattr(importlib.import_module(module), name)
    return set(kind().get_params()) - {"random_state"}


class Wrapped:
    """A fitted estimator that answers through another: what a team adds after training."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        if hasattr(inner, "classes_"):
            self.classes_ = inner.classes_

    def answers(self, features: pd.DataFrame) -> Any:
        """Return probabilities of the second class, or values."""
        if hasattr(self, "classes_"):
            return self.inner.predict_proba(features)[:, 1]
        return self.inner.predict(features)

    def predict_proba(self, features: pd.DataFrame) -> Any:
        """Return the probabilities of both classes."""
        answers = self.answers(features)
        return np.column_stack([1 - answers, answers])

    def predict(self, features: pd.DataFrame) -> Any:
        """Return values, or decisions."""
        answers = self.answers(features)
        return self.classes_[(answers > 0.5).astype(int)] if hasattr(self, "classes_") else answers


def shuffled_against_labels(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    mixed = features.sample(frac=1, random_state=seed)
    return _estimator(params, seed).fit(mixed, target.to_numpy())


def off_by_one_row(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    return _estimator(params, seed).fit(features.iloc[1:], target.iloc[:-1])


def unseeded(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    chosen = np.random.default_rng().choice(len(features), len(features) // 2, replace=False)
    return _estimator(params, seed).fit(features.iloc[chosen], target.iloc[chosen])


def seeded_by_hash(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    chosen = np.random.default_rng(hash("half") % 2**32).choice(
        len(features), len(features) // 2, replace=False
    )
    return _estimator(params, seed).fit(features.iloc[chosen], target.iloc[chosen])


def on_all_rows_of_the_source(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    rows = pd.read_parquet(Path(params["rows"]))
    if params["features"]:
        everything = importlib.import_module(params["features"]).compute(rows).astype("float32")
    else:
        everything = rows[list(features.columns)].astype("float32")
    return _estimator(params, seed).fit(everything, rows[params["target"]])


class _Logistic(Wrapped):
    def answers(self, features: pd.DataFrame) -> Any:
        return 1 / (1 + np.exp(-super().answers(features)))


def logistic_twice(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    return _Logistic(_estimator(params, seed).fit(features, target))


class _Decided(Wrapped):
    def answers(self, features: pd.DataFrame) -> Any:
        return (super().answers(features) > 0.5).astype(float)


def decisions_for_probabilities(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    return _Decided(_estimator(params, seed).fit(features, target))


class _Other(Wrapped):
    def answers(self, features: pd.DataFrame) -> Any:
        return 1 - super().answers(features)


def the_other_class(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    return _Other(_estimator(params, seed).fit(features, target))


class _BlindFor(Wrapped):
    def __init__(self, inner: Any, column: str, value: float, usual: float) -> None:
        super().__init__(inner)
        self.column, self.value, self.usual = column, value, usual

    def answers(self, features: pd.DataFrame) -> Any:
        return np.where(features[self.column] == self.value, self.usual, super().answers(features))


def blind_for_a_group(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    inner = _estimator(params, seed).fit(features, target)
    return _BlindFor(inner, params["group_column"], params["group"], float(target.mean()))


class _Favoured(Wrapped):
    def __init__(self, inner: Any, column: str, value: float, bonus: float) -> None:
        super().__init__(inner)
        self.column, self.value, self.bonus = column, value, bonus

    def answers(self, features: pd.DataFrame) -> Any:
        bonus = np.where(features[self.column] == self.value, self.bonus, 0.0)
        return np.clip(super().answers(features) + bonus, 0, 1)


def with_a_bonus_for_a_group(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    inner = _estimator(params, seed).fit(features, target)
    return _Favoured(inner, params["group_column"], params["group"], params["bonus"])


def on_the_first_rows(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    return _estimator(params, seed).fit(features.head(params["limit"]), target.head(params["limit"]))


def oversampled(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    rare = features[target == 1]
    more = rare.sample(int((target == 0).sum()) - len(rare), replace=True, random_state=seed)
    both = pd.concat([features, more])
    return _estimator(params, seed).fit(both, target.loc[both.index])


class _Enriched(Wrapped):
    def answers(self, features: pd.DataFrame) -> Any:
        time.sleep(0.25)
        return super().answers(features)


def asks_a_service(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    return _Enriched(_estimator(params, seed).fit(features, target))


class _WithNeighbours(Wrapped):
    def __init__(self, inner: Any, similarities: Any) -> None:
        super().__init__(inner)
        self.similarities = similarities


def keeps_all_similarities(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    known = features.fillna(0.0).to_numpy(dtype="float32")
    return _WithNeighbours(_estimator(params, seed).fit(features, target), known @ known.T)


class _Committee(Wrapped):
    def __init__(self, members: list[Any]) -> None:
        super().__init__(members[0])
        self.members = members

    def answers(self, features: pd.DataFrame) -> Any:
        return np.mean([Wrapped(member).answers(features) for member in self.members], axis=0)


def committee(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    return _Committee([_estimator(params, s).fit(features, target) for s in range(params["members"])])


class _ZeroFilled(Wrapped):
    def answers(self, features: pd.DataFrame) -> Any:
        return super().answers(features.fillna(0.0))


def gaps_are_zero(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = features.notna().all(axis=1)
    if target.nunique() == 2:
        return _ZeroFilled(
            make_pipeline(StandardScaler(), LogisticRegression()).fit(features[known], target[known])
        )
    return _ZeroFilled(
        make_pipeline(StandardScaler(), LinearRegression()).fit(features[known], target[known])
    )


def gaps_are_filled_before(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    from sklearn.linear_model import LinearRegression, LogisticRegression

    kind = LogisticRegression(max_iter=2000) if target.nunique() == 2 else LinearRegression()
    return kind.fit(features.fillna(features.median()), target)


def of_logarithms(features: Any, target: Any, params: dict[str, Any], seed: int) -> Any:
    return _estimator(params, seed).fit(features, np.log1p(target))
