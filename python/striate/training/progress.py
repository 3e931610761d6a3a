"""A progress bar for `fit`, drawn by rich."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from striate._extras import require

from .callbacks import Callback

if TYPE_CHECKING:
    from rich.console import Console

    from .loop import Loop


class ProgressBar(Callback):
    """A bar over all batches of all epochs with the time left; on terminals only.

    Parameters
    ----------
    console
        Where it is drawn; a console of its own on stdout by default.

    Raises
    ------
    MissingExtraError
        rich is not installed.
    """

    def __init__(self, console: Console | None = None) -> None:
        require("rich.progress", extra="cli", purpose="a progress bar")
        self._console = console
        self._bar: Any = None
        self._task: Any = None

    def on_fit_start(self, loop: Loop) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = self._console or Console()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("batches"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal or console.is_dumb_terminal,
        )
        self._task = self._bar.add_task(
            "training",
            total=loop.epochs * loop.batches,
            completed=len(loop.history) * loop.batches + loop.batch,
        )
        self._bar.start()

    def on_batch_end(self, loop: Loop) -> None:
        self._bar.update(self._task, advance=1, description=f"epoch {loop.epoch}/{loop.epochs}")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
