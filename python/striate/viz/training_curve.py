"""The picture of a training run: loss and accuracy by epoch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from striate._extras import require
from striate.training import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's blue and vermilion: distinct to colour-blind readers and in grey.
_TRAIN, _TEST = "#0072B2", "#D55E00"


def plot_history(history: History) -> Figure:
    """Draw loss and accuracy of every epoch, training and (where recorded) test.

    The figure belongs to no window and no global state; save it with `figure.savefig(...)`.

    Raises
    ------
    ValueError
        The history is empty.
    MissingExtraError
        matplotlib is not installed.
    """
    if not len(history):
        raise ValueError("plot_history: the history has no epochs")
    require("matplotlib", extra="viz", purpose="drawing a training curve")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, quantity in ((left, "loss"), (right, "accuracy")):
        _draw(axes, history, quantity, _TRAIN, "train")
        _draw(axes, history, f"test_{quantity}", _TEST, "test")
        axes.set_xlabel("epoch")
        axes.set_title(quantity, loc="left")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
    right.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    left.legend(frameon=False)
    return figure


def save_training_curve(history: History, path: str | os.PathLike[str]) -> None:
    """Write `plot_history(history)` to `path`; the suffix chooses the format (.png, .svg, .pdf)."""
    plot_history(history).savefig(path, dpi=150)


def _draw(axes: Any, history: History, name: str, color: str, label: str) -> None:
    epochs, values = history.column("epoch"), history.column(name)
    if any(value is not None for value in values):
        values = [float("nan") if value is None else value for value in values]
        axes.plot(epochs, values, color=color, label=label, marker="o", markersize=3)
