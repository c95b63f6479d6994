"""Small pictures for asset metadata: a Markdown image says more than a number in a list."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.home import settle_matplotlib

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure

    from mlops_assets.evaluation.slices import Slice
    from mlops_assets.monitoring.assessment.record import Assessment, ColumnDrift


_WINDOWS = 24
_FEATURES = 15


def _picture(figure: "Figure", title: str) -> dg.MarkdownMetadataValue:
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=90, bbox_inches="tight")
    return dg.MetadataValue.md(
        f"![{title}](data:image/png;base64,{base64.b64encode(sink.getvalue()).decode()})"
    )


def _figure(width: float = 4.5, height: float = 2.8) -> tuple["Figure", Any]:
    settle_matplotlib()
    # The object interface: pyplot keeps every figure alive and is not safe in threads.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.subplots()


def rows_by_day(times: "pd.Series[Any]") -> dg.MarkdownMetadataValue:
    """Plot how many rows each day has."""
    counts = times.dt.floor("D").value_counts().sort_index()
    figure, axes = _figure(5.5, 2.0)
    axes.fill_between(counts.index, counts.to_numpy(), step="mid", alpha=0.6)
    axes.set_ylabel("rows a day")
    axes.set_ylim(bottom=0)
    figure.autofmt_xdate()
    return _picture(figure, "rows by day")


def calibration(
    target: "np.ndarray[Any, Any]", predicted: "np.ndarray[Any, Any]"
) -> dg.MarkdownMetadataValue:
    """Plot observed against predicted frequency in ten equally filled bins."""
    import numpy as np

    bins = np.array_split(np.argsort(predicted, kind="stable"), 10)
    figure, axes = _figure(3.2, 3.0)
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
    axes.plot([predicted[b].mean() for b in bins], [target[b].mean() for b in bins], marker="o")
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("observed frequency")
    return _picture(figure, "calibration")


def predicted_against_actual(
    target: "np.ndarray[Any, Any]", predicted: "np.ndarray[Any, Any]"
) -> dg.MarkdownMetadataValue:
    """Plot predictions of a regression against the truth."""
    step = max(1, len(target) // 2000)
    figure, axes = _figure(3.2, 3.0)
    axes.scatter(target[::step], predicted[::step], s=3, alpha=0.3)
    axes.set_xlabel("actual")
    axes.set_ylabel("predicted")
    return _picture(figure, "predicted against actual")


def slices(found: "list[Slice]", overall: float, metric: str) -> dg.MarkdownMetadataValue:
    """Plot a metric with its interval for each group, and the overall figure as a line."""
    shown = sorted(found, key=lambda s: s.metric.value)
    figure, axes = _figure(4.5, 0.6 + 0.22 * len(shown))
    for place, group in enumerate(shown):
        axes.plot([group.metric.low, group.metric.high], [place, place], color="C0")
        axes.plot(group.metric.value, place, marker="o", color="C0")
    axes.axvline(overall, color="grey", linestyle=":")
    axes.set_yticks(range(len(shown)), [f"{s.column} {s.value} ({s.rows:,})" for s in shown], fontsize=7)
    axes.set_xlabel(metric)
    return _picture(figure, "slices")


def drift(columns: "Sequence[ColumnDrift]") -> dg.MarkdownMetadataValue:
    """Plot how improbable each column's movement is while nothing is wrong; alarms are red."""
    shown = sorted(columns, key=lambda each: -each.score)
    figure, axes = _figure(4.5, 0.6 + 0.22 * len(shown))
    colours = ["C3" if each.drifted else "C0" for each in shown]
    surprise = [-math.log10(max(each.score, 1e-16)) for each in shown]
    axes.barh([each.column for each in shown], surprise, color=colours)
    axes.set_xlabel("-log10 of the probability of as much by itself")
    axes.tick_params(labelsize=7)
    return _picture(figure, "drift")


def importances(shares: Mapping[str, float], champion: Mapping[str, float]) -> dg.MarkdownMetadataValue:
    """Plot the shares of the 15 features that predictions rest on most, the champion's as a mark.

    Args:
        shares: Share of each feature, strongest first.
        champion: The champion's share of each feature it has; empty if there is none.
    """
    shown = list(shares.items())[:_FEATURES][::-1]
    figure, axes = _figure(4.5, 0.6 + 0.22 * len(shown))
    axes.barh([name for name, _ in shown], [share for _, share in shown], color="C0")
    known = [(place, champion[name]) for place, (name, _) in enumerate(shown) if name in champion]
    if known:
        axes.plot(
            [share for _, share in known], [place for place, _ in known], "|", color="C1", label="champion"
        )
        axes.legend(fontsize=7)
    axes.set_xlabel("share of all that moves predictions")
    axes.tick_params(labelsize=7)
    return _picture(figure, "importances")


def history(found: "list[Assessment]", metric: str) -> dg.MarkdownMetadataValue:
    """Plot a metric of each window with its interval, beside the hold-out's figure and who served."""
    shown = [each for each in found if metric in each.metrics][-_WINDOWS:]
    figure, axes = _figure(7.5, 3.4)
    for each in shown:
        value, low, high = each.metrics[metric]
        middle, colour = each.start + (each.end - each.start) / 2, "C3" if each.harm else "C0"
        axes.plot([middle, middle], [low, high], color=colour)
        axes.plot(middle, value, marker="o", color=colour)
        if each.reference_metric is not None:
            axes.plot([each.start, each.end], [each.reference_metric] * 2, color="grey", linestyle=":")
        label = axes.annotate(f"v{each.version}", (middle, high), ha="center", va="bottom", fontsize=7)
        label.set_color(colour)
    axes.set_ylabel(metric)
    axes.set_title(
        "by window with its interval; dotted: on the hold-out; red: harm", fontsize=8, color="grey"
    )
    axes.margins(y=0.12)
    figure.autofmt_xdate()
    return _picture(figure, "history")
