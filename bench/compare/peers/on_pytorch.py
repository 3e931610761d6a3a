"""PyTorch: every direction, in its contiguous and its channels_last format."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..arrays import Operands
from ..cases import Problem
from ..ours import EPS, Call

NAME = "pytorch"
aten = torch.ops.aten


def prepare(threads: int) -> None:
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)  # the gradients are called by name


def result(value: Any) -> np.ndarray:
    if isinstance(value, tuple):
        value = next(part for part in value if part is not None)
    return value.numpy()


def calls(
    problem: Problem, direction: str, memory: str, of: dict[str, Operands]
) -> dict[str, Call]:
    make = {"conv": _conv, "pool": _pool, "bnorm": _bnorm}.get(problem.op)
    if make is None:
        return {}
    made = {layout: make(problem, direction, memory, part) for layout, part in of.items()}
    return {layout: call for layout, call in made.items() if call is not None}


def _conv(p: Problem, direction: str, memory: str, of: Operands) -> Call | None:
    if not all(axis.symmetric_pad for axis in p.axes):
        return None  # needs a separate pass for the padding
    stride, pad, dilation = (list(p.sizes(name)) for name in ("stride", "pad", "dilation"))
    if direction == "FWD":
        x, w = torch.from_numpy(of.x), torch.from_numpy(of.w)
        run = getattr(F, f"conv{p.rank}d")
        return lambda: run(x, w, None, stride, pad, dilation, p.g)
    x, w, dy = (torch.from_numpy(array) for array in (of.x, of.w, of.dy))
    mask = [direction == "BWD_D", direction == "BWD_W", False]
    none = [0] * p.rank
    run = aten.convolution_backward.default
    return lambda: run(dy, x, w, None, stride, pad, dilation, False, none, p.g, mask)


def _pool(p: Problem, direction: str, memory: str, of: Operands) -> Call | None:
    if p.rank != 2:
        return None
    window = [list(p.sizes(name)) for name in ("kernel", "stride", "pad")]
    ceil = not all(axis.symmetric_pad for axis in p.axes)
    x = torch.from_numpy(of.x)
    if p.alg == "max":
        form = (*window, [1, 1], ceil)
        if direction == "FWD" and memory == "fresh":
            return lambda: F.max_pool2d(x, *form)
        y, indices = aten.max_pool2d_with_indices(x, *form)
        if direction == "FWD":
            run = aten.max_pool2d_with_indices.out
            return lambda: run(x, *form, out=y, indices=indices)
        dy = torch.from_numpy(of.dy)
        if memory == "fresh":
            run = aten.max_pool2d_with_indices_backward.default
            return lambda: run(dy, x, *form, indices)
        dx = torch.empty_like(x)
        run = aten.max_pool2d_with_indices_backward.grad_input
        return lambda: run(dy, x, *form, indices, grad_input=dx)
    form = (*window, ceil, p.alg == "avg_p", None)
    if direction == "FWD":
        if memory == "fresh":
            return lambda: F.avg_pool2d(x, *form)
        y = aten.avg_pool2d(x, *form)
        return lambda: aten.avg_pool2d.out(x, *form, out=y)
    dy = torch.from_numpy(of.dy)
    if memory == "fresh":
        return lambda: aten.avg_pool2d_backward.default(dy, x, *form)
    dx = torch.empty_like(x)
    return lambda: aten.avg_pool2d_backward.grad_input(dy, x, *form, grad_input=dx)


def _bnorm(p: Problem, direction: str, memory: str, of: Operands) -> Call:
    """Batch norm in training and ReLU in place, as torchvision's networks have them."""
    x = torch.from_numpy(of.x)
    w, b = torch.linspace(0.5, 1.5, p.ic), torch.full((p.ic,), 0.1)
    form = (w, b, None, None, True, 0.1, EPS)
    y, mean, deviation = aten.native_batch_norm(x, *form)
    if direction == "FWD":
        if memory == "fresh":
            return lambda: aten.relu_(aten.native_batch_norm.default(x, *form)[0])
        into = {"out": y, "save_mean": mean, "save_invstd": deviation}
        return lambda: aten.relu_(aten.native_batch_norm.out(x, *form, **into)[0])
    y, dy = aten.relu_(y), torch.from_numpy(of.dy)
    rest = (x, w, None, None, mean, deviation, True, EPS, [True, True, True])
    if memory == "fresh":
        norm, step = aten.native_batch_norm_backward.default, aten.threshold_backward.default
        return lambda: norm(step(dy, y, 0), *rest)
    norm, step = aten.native_batch_norm_backward.out, aten.threshold_backward.grad_input
    dz, dx = torch.empty_like(x), torch.empty_like(x)
    dw, db = torch.empty_like(w), torch.empty_like(b)
    return lambda: norm(step(dy, y, 0, grad_input=dz), *rest, out0=dx, out1=dw, out2=db)
