"""Whether a convolution's plan chooses well: predicted costs against measured ones.

Every candidate runs on made-up data (`striate.explain(..., measure=True)`). A choice is good if it
takes at most 10 % longer than the fastest candidate.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import ours
from .cases import Problem

GOOD = 1.1


def measure(
    problems: Sequence[Problem],
    directions: Sequence[str],
    layouts: Sequence[str],
    output: Path | None,
    limit_seconds: float,
) -> tuple[list[dict[str, Any]], bool]:
    """A row a problem, direction and layout, and whether all were done; goes on from `output`."""
    rows = []
    if output and output.exists():
        rows = [json.loads(line) for line in output.read_text().splitlines()]
    done = {(row["case"], row["dir"], row["layout"]) for row in rows}
    end = time.monotonic() + limit_seconds
    for problem in problems:
        for direction in directions:
            for layout in layouts:
                if problem.op != "conv" or (problem.text, direction, layout) in done:
                    continue
                if time.monotonic() > end:
                    return rows, False
                row = _row(problem, direction, layout)
                rows.append(row)
                if output:
                    with output.open("a") as file:
                        file.write(json.dumps(row) + "\n")
    return rows, True


def _row(problem: Problem, direction: str, layout: str) -> dict[str, Any]:
    plan = ours.plan(problem, direction, layout, measure=True)
    seconds = {
        row["name"]: (row["predicted"], row["measured"])
        for row in plan["candidates"]
        if row["measured"] is not None and row["name"] != "reference"
    }
    return {
        "case": problem.text,
        "dir": direction,
        "layout": layout,
        "isa": plan["isa"],
        "chosen": plan["chosen"],
        "seconds": seconds,
    }


def excess(row: dict[str, Any]) -> float:
    """How much longer the choice takes than the fastest candidate, as a factor."""
    measured = {name: times[1] for name, times in row["seconds"].items()}
    return float(measured[row["chosen"]] / min(measured.values())) if measured else 1.0


def report(rows: Sequence[dict[str, Any]]) -> str:
    """Share of good choices, and the others, in Markdown."""
    chosen = [row for row in rows if len(row["seconds"]) > 1]
    good = sum(excess(row) <= GOOD for row in chosen)
    lines = [
        f"{good} of {len(chosen)} choices ({good / max(1, len(chosen)):.0%}) take at most 10 % "
        f"longer than the best candidate; {len(rows) - len(chosen)} cases have only one.",
        "",
        "| case | dir | layout | chosen | times the best | best | us |",
        "| --- | --- | --- | --- | ---: | --- | ---: |",
    ]
    for row in sorted(chosen, key=excess, reverse=True):
        if excess(row) <= GOOD:
            break
        best = min(row["seconds"], key=lambda name: row["seconds"][name][1])
        lines.append(
            f"| {row['case']} | {row['dir']} | {row['layout']} | {row['chosen']} "
            f"| {excess(row):.2f} | {best} | {row['seconds'][best][1] * 1e6:.0f} |"
        )
    return "\n".join(lines)
