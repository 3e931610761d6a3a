"""What people see while a command works: progress, lines, tables, all through rich.

On a terminal there is a progress bar and colour (NO_COLOR turns the colour off); elsewhere the same
lines come as plain text, without the bar.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from striate._extras import require

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def open_console(*, json: bool, quiet: bool) -> Console:
    """The console for people: stdout, or stderr where stdout is kept for JSON; silent if `quiet`.

    Raises
    ------
    MissingExtraError
        rich is not installed.
    """
    rich = require("rich.console", extra="cli", purpose="the command line")
    console: Console = rich.Console(
        file=sys.stderr if json else sys.stdout,
        quiet=quiet,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,  # a path that is cut in two can no longer be copied
    )
    return console


def confusion_table(confusion: Any, classes: Sequence[str]) -> Table:
    """Rows are the true classes, columns the predicted ones; a zero is left blank."""
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        title="true class (rows) and prediction (columns)",
        padding=(0, 1, 0, 0),
    )
    table.add_column("")
    for name in classes:
        table.add_column(name[:4], justify="right")
    table.add_column("right", justify="right")
    for index, (name, counts) in enumerate(zip(classes, confusion, strict=True)):
        cells = [str(count) if count else "" for count in counts]
        share = f"{counts[index] / counts.sum():.0%}" if counts.sum() else ""
        table.add_row(name, *cells, share)
    return table
