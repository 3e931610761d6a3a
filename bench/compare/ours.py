"""Striate's side: one callable a memory format for a problem, a direction and a kind of memory.

`fresh` calls return new memory, `reused` ones write into memory that is given to them. Padding and
strides are passed as users write them, as single numbers where all axes agree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import striate
from striate import _core

from .arrays import Operands, input_shape, weight_shape
from .cases import Problem

Call = Callable[[], Any]
EPS = 1e-5
NAME = "striate"


def calls(
    problem: Problem, direction: str, memory: str, of: dict[str, Operands]
) -> dict[str, Call]:
    make = {"conv": _conv, "pool": _pool, "bnorm": _bnorm}[problem.op]
    return {layout: make(problem, direction, memory, operands) for layout, operands in of.items()}


def result(value: Any) -> np.ndarray:
    return value[0] if isinstance(value, tuple) else value


def prepare(threads: int) -> None:
    striate.set_num_threads(threads)


def algorithm(problem: Problem, direction: str, layout: str) -> str:
    """The algorithm that striate's plan chooses for a convolution."""
    return str(plan(problem, direction, layout)["chosen"]) if problem.op == "conv" else ""


def plan(problem: Problem, direction: str, layout: str, measure: bool = False) -> dict[str, Any]:
    """The plan of a convolution."""
    end = {"FWD": "", "BWD_D": "_input_grad", "BWD_W": "_weight_grad"}[direction]
    return striate.explain(
        f"conv{problem.rank}d{end}",
        input_shape(problem),
        weight_shape(problem),
        *_form(problem),
        memory_format="channels_last" if layout == "nhwc" else "contiguous",
        measure=measure,
    )


def _single(sizes: tuple[int, ...]) -> Any:
    return sizes[0] if len(set(sizes)) == 1 else sizes


def _form(p: Problem) -> tuple[Any, ...]:
    """stride, padding, dilation, groups."""
    padding: Any = _single(p.sizes("pad"))
    if not all(axis.symmetric_pad for axis in p.axes):
        padding = tuple((axis.pad, max(axis.pad_end, 0)) for axis in p.axes)
    return _single(p.sizes("stride")), padding, _single(p.sizes("dilation")), p.g


def _conv(p: Problem, direction: str, memory: str, of: Operands) -> Call:
    form = _form(p)
    op = f"conv{p.rank}d"
    if direction == "FWD":
        run, x, w = getattr(striate, op), of.x, of.w
        return lambda: run(x, w, None, *form)
    if direction == "BWD_D":
        run, shape, w, dy = getattr(striate, f"{op}_input_grad"), input_shape(p), of.w, of.dy
        return lambda: run(shape, w, dy, *form)
    run, x, shape, dy = getattr(striate, f"{op}_weight_grad"), of.x, weight_shape(p), of.dy
    return lambda: run(x, shape, dy, *form)


def _pool(p: Problem, direction: str, memory: str, of: Operands) -> Call:
    window = (_single(p.sizes("kernel")), _single(p.sizes("stride")), _single(p.sizes("pad")))
    ceil = not all(axis.symmetric_pad for axis in p.axes)
    x, shape = of.x, input_shape(p)
    kind = f"max_pool{p.rank}d" if p.alg == "max" else f"avg_pool{p.rank}d"
    rest: dict[str, Any] = {"ceil_mode": ceil}
    if p.alg != "max":
        rest["count_include_pad"] = p.alg == "avg_p"
    forward, backward = getattr(striate, kind), getattr(striate, f"{kind}_input_grad")
    if direction == "FWD":
        out = forward(x, *window, **rest).copy("K") if memory == "reused" else None
        return lambda: forward(x, *window, out=out, **rest)
    dy = of.dy
    memory_format = "channels_last" if of.layout == "nhwc" else "contiguous"
    out = of.empty(shape) if memory == "reused" else None
    if p.alg == "max":  # as the tape does it: from the taps that won
        pads = tuple((axis.pad, axis.pad) for axis in p.axes)
        form = (p.sizes("kernel"), p.sizes("stride"), pads, p.sizes("dilation"), ceil)
        _, taps = _core.max_pool_with_taps(kind, x, *form, None, None)
        run = _core.max_pool_taps_grad
        return lambda: run(kind, shape, taps, dy, *form, memory_format, out)
    rest |= {"memory_format": memory_format, "out": out}
    return lambda: backward(shape, dy, *window, **rest)


def _bnorm(p: Problem, direction: str, memory: str, of: Operands) -> Call:
    """Training: statistics of the batch, scale and shift, ReLU; and their gradients."""
    x, dy = of.x, of.dy
    w, b = np.linspace(0.5, 1.5, p.ic, dtype=np.float32), np.full(p.ic, 0.1, np.float32)
    out = of.empty(x.shape) if memory == "reused" else None
    if direction == "FWD":
        return lambda: _core.batch_norm_train(x, w, b, EPS, True, out)[0]
    _, mean, var, gate = _core.batch_norm_train(x, w, b, EPS, True, None)
    return lambda: _core.batch_norm_grad(x, dy, mean, var, w, gate, EPS, True, out)
