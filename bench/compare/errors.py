"""Rounding errors of float32 convolutions beside PyTorch's, in the same memory format.

Standard normal inputs and gradients, weights scaled to keep the variance. Both sides read the same
values; the truth is PyTorch's float64. As many draws are taken as give 10^5 results, so that the
maximum means something for small gradients too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from . import arrays, cases, ours, peers

RESULTS = 100_000
LIMIT = 4.0  # times PyTorch's error

# Layers of 16 to 512 channels; 3x3 at the sizes of ResNet, 5x5 at those of GoogLeNet and AlexNet.
LAYERS = (
    *(f"ic{c}ih{h}oc{c}kh3ph1" for c, h in ((16, 56), (32, 28), (64, 56), (128, 28))),
    *(f"ic{c}ih{h}oc{c}kh3ph1" for c, h in ((256, 14), (512, 7), (512, 14))),
    *(f"ic{c}ih{h}oc{o}kh5ph2" for c, h, o in ((16, 28, 32), (32, 7, 128), (32, 28, 96))),
    *(f"ic{c}ih{h}oc{o}kh5ph2" for c, h, o in ((48, 14, 128), (96, 27, 256))),
)
BATCHES = (1, 8)


class Row(NamedTuple):
    problem: str
    direction: str
    layout: str
    algorithm: str
    largest: float
    rms: float
    # As multiples of PyTorch's.
    largest_ratio: float
    rms_ratio: float


def default_problems() -> list[cases.Problem]:
    return [cases.parse_problem(f"mb{mb}{layer}") for layer in LAYERS for mb in BATCHES]


def rows(
    problems: list[cases.Problem], directions: list[str], layouts: list[str], threads: int
) -> Iterator[Row]:
    torch = peers.load("pytorch")
    torch.prepare(threads)
    ours.prepare(threads)
    for problem in problems:
        for direction in directions:
            found = _errors(torch, problem, direction, layouts)
            for layout, (mine, theirs) in found.items():
                yield Row(
                    problem.text,
                    direction,
                    layout,
                    ours.algorithm(problem, direction, layout),
                    *mine,
                    *(a / b for a, b in zip(mine, theirs, strict=True)),
                )


def _errors(
    torch: Any, problem: cases.Problem, direction: str, layouts: list[str]
) -> dict[str, tuple[tuple[float, float], tuple[float, float]]]:
    """(largest, rms) of ours and of theirs in each layout."""
    sums = {(layout, side): [0.0, 0.0] for layout in layouts for side in (ours, torch)}
    count = seed = 0
    while count < RESULTS:
        of = {layout: arrays.Operands(problem, layout, seed) for layout in layouts}
        want = _exact(torch, problem, direction, of[layouts[0]])
        for layout, side in sums:
            call = side.calls(problem, direction, "fresh", {layout: of[layout]})[layout]
            error = np.abs(side.result(call()) - want)
            kept = sums[layout, side]
            kept[0] = max(kept[0], float(error.max()))
            kept[1] += float(np.square(error).sum())
        count += want.size
        seed += 1
    final = {key: (largest, (squares / count) ** 0.5) for key, (largest, squares) in sums.items()}
    return {layout: (final[layout, ours], final[layout, torch]) for layout in layouts}


class _Doubles(NamedTuple):
    x: np.ndarray
    w: np.ndarray
    dy: np.ndarray


def _exact(torch: Any, problem: cases.Problem, direction: str, of: arrays.Operands) -> np.ndarray:
    doubles = _Doubles(*(np.array(a, np.float64, order="C") for a in (of.x, of.w, of.dy)))
    call = torch.calls(problem, direction, "fresh", {"nchw": doubles})["nchw"]
    return np.asarray(torch.result(call()))


def report(found: list[Row], every: bool) -> str:
    """The largest ratios of each direction and layout, and the rows past the limit or all."""
    lines = ["| direction | layout | most, maximum | most, rms |", "|---|---|---:|---:|"]
    for key in sorted({(row.direction, row.layout) for row in found}):
        of = [row for row in found if (row.direction, row.layout) == key]
        most = max(row.largest_ratio for row in of), max(row.rms_ratio for row in of)
        lines.append(f"| {key[0]} | {key[1]} | {most[0]:.2f} | {most[1]:.2f} |")
    past = [row for row in found if max(row.largest_ratio, row.rms_ratio) > LIMIT]
    lines += ["", f"{len(past)} of {len(found)} are past {LIMIT:g} times PyTorch's error."]
    shown = found if every else past
    if shown:
        lines += ["", "| problem | direction | layout | by | error: max / rms | times PyTorch's |"]
        lines.append("|---|---|---|---|---|---|")
    for row in shown:
        lines.append(
            f"| {row.problem} | {row.direction} | {row.layout} | {row.algorithm} | "
            f"{row.largest:.2g} / {row.rms:.2g} | {row.largest_ratio:.2f} / {row.rms_ratio:.2f} |"
        )
    return "\n".join(lines)
