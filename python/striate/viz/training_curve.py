"""The picture of training runs: loss and accuracy by epoch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from striate._extras import require
from striate.training import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of Okabe and Ito's palette: distinct to colour-blind readers and in grey.
_SPLITS = (
    ("", "train", "#0072B2"),
    ("validation_", "validation", "#009E73"),
    ("test_", "test", "#D55E00"),
)


def plot_history(history: History | Sequence[History]) -> Figure:
    """Draw loss and accuracy of every epoch: training and, where recorded, validation and test.

    The figure belongs to no window and no global state; save it with `figure.savefig(...)`.

    Parameters
    ----------
    history
        One run, or several of the same training, such as from different seeds: their lines share
        colours, and only the first that has a split is named.

    Raises
    ------
    ValueError
        A history is empty, or there is none.
    MissingExtraError
        matplotlib is not installed.
    """
    histories = [history] if isinstance(history, History) else list(history)
    if not histories or not all(len(each) for each in histories):
        raise ValueError("plot_history: the history has no epochs")
    require("matplotlib", extra="viz", purpose="drawing a training curve")
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, quantity in ((left, "loss"), (right, "accuracy")):
        for split, label, color in _SPLITS:
            name: str | None = label
            for each in histories:
                if any(value is not None for value in each.column(split + quantity)):
                    _draw(axes, each, split + quantity, color, name, thin=len(histories) > 1)
                    name = None
        axes.set_xlabel("epoch")
        axes.set_title(quantity, loc="left")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    left.legend(frameon=False)
    return figure


def save_training_curve(history: History | Sequence[History], path: str | os.PathLike[str]) -> None:
    """Write `plot_history(history)` to `path`; the suffix chooses the format (.png, .svg, .pdf)."""
    plot_history(history).savefig(path, dpi=150)


def _draw(
    axes: Any, history: History, name: str, color: str, label: str | None, *, thin: bool
) -> None:
    epochs, values = history.column("epoch"), history.column(name)
    values = [float("nan") if value is None else value for value in values]
    width = 0.9 if thin else 1.5
    axes.plot(epochs, values, color=color, label=label, marker="o", markersize=3, linewidth=width)
