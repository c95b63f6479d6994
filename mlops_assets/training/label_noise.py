"""The screen of training data for labels that were flipped or are missing, and rows that were planted."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlops_assets.specs.data_spec import Data
from mlops_assets.specs.gate_rules import LabelNoiseRules
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.tasks import Task
from mlops_assets.training.changed_labels import changed_labels
from mlops_assets.training.flipped_labels import confident_denials, cross_fitted, flipped_shares
from mlops_assets.training.groups import PERIOD, GroupFigure, groups_of
from mlops_assets.training.label_times import missing_labels
from mlops_assets.training.planted_rows import Twins, marked_rows, twins
from mlops_assets.training.seen_rows import SEEN, seen_rows
from mlops_assets.verdict import Figure, Finding, Measurement

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

_PROBABILITIES = 130_000  # rows times classes: enough to see one flipped label in twenty of a large group
_MOST_CLASSES = 8
_FEWEST_OF_A_CLASS = 20
_FEWEST_MARKED = 50  # rows of one value, all with one label: a model learns what so few say
_SHOWN = 10


def measure_label_noise(
    features: "pd.DataFrame",
    rows: "pd.DataFrame",
    spec: ModelSpec,
    rules: LabelNoiseRules,
    previous: "pd.DataFrame | None" = None,
    holdout: "pd.DataFrame | None" = None,
) -> Measurement:
    """Look for labels that were flipped or are missing, and rows that were planted.

    Six things are measured: in each group the share of labels that seem flipped
    (:mod:`mlops_assets.training.flipped_labels`), and of those that were changed since the last training
    (:mod:`mlops_assets.training.changed_labels`); for each class, how many of its labels are missing for a
    time (:mod:`mlops_assets.training.label_times`); how far the labels that go with one value are all alike
    where those of the column's other values are not, and rows that are there twice
    (:mod:`mlops_assets.training.planted_rows`); and rows of the hold-out among those to train on
    (:mod:`mlops_assets.training.seen_rows`).

    Groups are the values of columns, quarters of the numbers, and periods. A number to predict is screened
    as the third of all numbers that it belongs to. Labels that are flipped in one direction only look like
    those of a group that honestly differs, unless the features tell much or the rows were seen before.

    Args:
        features: Feature columns of the rows to train on.
        rows: The same rows as they came, with target, times and all declared columns.
        spec: The model's spec.
        rules: How sure a bound has to be, and how many rows a group needs.
        previous: Rows of the last training as they came, if there was one.
        holdout: The newer rows that the model will be judged by. Labels that were not waited for are
            missing there, and only there.

    Returns:
        What gate ``label_noise`` measured.
    """
    target, times = rows[spec.data.target], rows[spec.data.time_column]
    codes, labels = _classes(target, spec.task)
    groups = groups_of(rows, times, spec)
    bounds: dict[str, Any] = {"confidence": rules.confidence, "min_rows": rules.min_rows}
    flipped: list[GroupFigure] = []
    marked: list[GroupFigure] = []
    denials: tuple[Figure, ...] = ()
    if len(labels) > 1:
        sample = _sample(codes, len(labels))
        fitted = cross_fitted(features.iloc[sample], times.iloc[sample], codes[sample])
        screened = {name: values.iloc[sample] for name, values in groups.items()}
        flipped = flipped_shares(fitted, codes[sample], labels, screened, **bounds)
        denials = _denials(fitted.probabilities, codes[sample])
        named = {c.name: rows[c.name] for c in spec.data.features} | {PERIOD: groups[PERIOD]}
        known = codes >= 0
        few = min(rules.min_rows, _FEWEST_MARKED)
        columns = {name: values[known] for name, values in named.items()}
        marked = marked_rows(codes[known], labels, columns, confidence=rules.confidence, min_rows=few)
    changed = changed_labels(rows, previous, spec.data, groups, **bounds) if previous is not None else []
    missing = _missing(rows, holdout, spec, rules.confidence)
    twice = twins(rows, times, rules.confidence)
    unknown = f"no two groups of {rules.min_rows} rows"
    return Measurement(
        gate="label_noise",
        summary="; ".join(
            (
                _most("labels seem flipped", flipped, unknown),
                *(
                    (_most("labels were changed since the last training", changed, unknown),)
                    if changed
                    else ()
                ),
                *(
                    (_most("labels are missing", missing, ""),)
                    if any(group.low > 0 for group in missing)
                    else ()
                ),
                _alike(marked),
                f"{twice.share:.2%} of the rows are there twice",
            )
        ),
        figures=(
            *_worst("labels flipped", flipped, "max_flipped", unknown),
            *_worst("labels changed", changed, "max_changed", f"no {rules.min_rows} rows trained on before"),
            *_worst("labels missing", missing, "max_missing", "too few days to tell what is usual"),
            *_worst("labels alike", marked, "max_purity", "no column with enough values"),
            Figure(
                name="rows there twice", value=twice.share, low=twice.low, limit="max_copies", counts="low"
            ),
            _seen(rows, holdout, spec.data, rules.confidence),
            *denials,
        ),
        findings=(
            *_offending("labels seem flipped", flipped),
            *_offending("labels were changed since the last training", changed),
            *_offending("labels are missing", missing),
            *_offending("labels are alike", marked),
            *_copied(times, twice),
        ),
    )


def _classes(target: "pd.Series[Any]", task: Task) -> "tuple[Array, tuple[str, ...]]":
    """Return the number of each row's class, and the classes: of a number to predict, the thirds.

    Only the commonest classes are screened; rows of others have the number -1.
    """
    import numpy as np

    if task == "regression":
        edges = np.unique(np.quantile(target, [1 / 3, 2 / 3]))
        thirds, codes = np.unique(np.searchsorted(edges, target), return_inverse=True)
        names = [*(f"≤ {edge:.4g}" for edge in edges), f"> {edges[-1]:.4g}"]
        return codes, tuple(names[third] for third in thirds)
    counts = target.value_counts()
    common = sorted(counts.index[counts >= _FEWEST_OF_A_CLASS][:_MOST_CLASSES], key=str)
    codes = target.map({name: code for code, name in enumerate(common)}).fillna(-1).to_numpy(dtype=int)
    return codes, tuple(map(str, common))


def _missing(
    rows: "pd.DataFrame", holdout: "pd.DataFrame | None", spec: ModelSpec, confidence: float
) -> list[GroupFigure]:
    import pandas as pd

    named = [spec.data.target, spec.data.time_column]
    whole = rows[named] if holdout is None else pd.concat([rows[named], holdout[named]])
    codes, labels = _classes(whole[spec.data.target], spec.task)
    return missing_labels(codes, labels, whole[spec.data.time_column], confidence=confidence)


def _seen(rows: "pd.DataFrame", holdout: "pd.DataFrame | None", data: Data, confidence: float) -> Figure:
    if holdout is None:
        return Figure(name=SEEN, value=0.0, low=0.0, limit="max_seen", counts="low", note="no hold-out")
    apart = {*data.key, data.time_column}
    columns = [c.name for c in data.features if c.name not in apart]
    return seen_rows(rows, holdout, [*columns, data.target], confidence)


def _sample(codes: "Array", classes: int) -> "Array":
    """Return the positions of rows to screen: all, or as many as can be screened in some seconds."""
    import numpy as np

    known = np.flatnonzero(codes >= 0)
    most = _PROBABILITIES // classes
    return (
        known if len(known) <= most else np.sort(np.random.default_rng(0).choice(known, most, replace=False))
    )


def _denials(probabilities: "Array", codes: "Array") -> tuple[Figure, ...]:
    denied, expected = confident_denials(probabilities, codes)
    return (
        Figure(name="labels denied with confidence", value=float(denied.mean())),
        Figure(name="labels expected to be denied", value=float(expected.mean())),
    )


def _worst(name: str, found: Sequence[GroupFigure], limit: str, unknown: str) -> Iterator[Figure]:
    """Yield the group of each column that is most surely beyond what is right."""
    if not found:
        yield Figure(name=name, value=0.0, low=0.0, high=1.0, limit=limit, counts="low", note=unknown)
    for column in dict.fromkeys(group.column for group in found):
        group = max((g for g in found if g.column == column), key=_surely)
        yield Figure(
            name=f"{name} where {column} is {group.value}",
            value=group.estimate,
            low=group.low,
            high=group.high,
            limit=limit,
            counts="low",
            note=group.note,
        )


def _surely(group: GroupFigure) -> tuple[float, float]:
    return group.low, group.estimate


def _most(problem: str, found: Sequence[GroupFigure], unknown: str) -> str:
    if not found:
        return f"{unknown}, so that nobody can tell how many {problem}"
    group = max(found, key=_surely)
    shares = f"{group.estimate:.1%}, at least {group.low:.1%}"
    return f"most {problem} where {group.column} is {group.value}: {shares}"


def _alike(found: Sequence[GroupFigure]) -> str:
    if not found:
        return "no column has enough values to see rows that were planted"
    group = max(found, key=_surely)
    return f"labels are most alike where {group.column} is {group.value}: {group.note}"


def _offending(problem: str, found: Sequence[GroupFigure]) -> Iterator[Finding]:
    for group in sorted(found, key=_surely, reverse=True)[:_SHOWN]:
        if group.low > 0:
            yield {"problem": problem, **{k: v for k, v in asdict(group).items() if v is not None}}


def _copied(times: "pd.Series[Any]", twice: Twins) -> Iterator[Finding]:
    for position in twice.mask.nonzero()[0][:_SHOWN]:
        yield {
            "problem": "row is there twice",
            "row": str(times.index[position]),
            "time": str(times.iloc[position]),
        }
